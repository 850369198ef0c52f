"""What runs a job: its file, the console command, and the package."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import freqquest
from freqquest import __main__, commands

ROOT = Path(__file__).parent.parent


def run(*command):
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)


def test_each_job_has_a_file_of_its_name_and_each_file_is_a_job():
    assert {path.stem for path in (ROOT / "jobs").glob("*.py")} == set(commands.summaries())


def test_a_jobs_file_and_the_package_do_the_same_under_their_own_names(tmp_path):
    refused = ["--run-dir", str(tmp_path / "none")]
    of_file = run("jobs/watch.py", *refused)
    of_package = run("-m", "freqquest", "watch", *refused)
    assert of_file.returncode == of_package.returncode == 2
    assert of_file.stderr == of_package.stderr
    assert of_file.stderr.startswith(f"error: --run-dir {tmp_path}/none does not exist")
    assert run("jobs/watch.py", "-h").stdout.startswith("usage: python jobs/watch.py [-h]")
    assert run("-m", "freqquest", "watch", "-h").stdout.startswith(
        "usage: python -m freqquest watch [-h]"
    )


def test_a_stopped_job_ends_as_an_interrupted_one(capsys, monkeypatch, tmp_path):
    def stop(config):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setitem(commands.JOBS, "watch", replace(commands.JOBS["watch"], run=stop))
    own = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as end:
            commands.run_job("watch", ["--run-dir", str(tmp_path)], "freqquest watch")
    finally:
        signal.signal(signal.SIGTERM, own)
    assert end.value.code == 130
    assert capsys.readouterr().err.startswith("error: interrupted; finished stages are kept")


def test_the_console_command_lists_the_jobs_and_its_version(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/freqquest", "--version"])
    __main__.main()
    assert capsys.readouterr().out == f"freqquest {freqquest.__version__}\n"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/freqquest", "--help"])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: freqquest JOB [OPTIONS]")
    for name, summary in commands.summaries().items():
        assert f"{name} " in text
        assert summary in text


def test_an_unknown_job_is_refused_with_those_there_are(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/freqquest", "nope"])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"error: job nope must be one of: {', '.join(commands.summaries())}\n"
    )


def test_listing_the_jobs_is_quick():
    done = run(
        "-c",
        "import sys; from freqquest.commands import summaries; summaries()\n"
        "assert not {'ray', 'numpy', 'pandas', 'torch', 'tensorflow'} & set(sys.modules)",
    )
    assert done.returncode == 0, done.stderr
