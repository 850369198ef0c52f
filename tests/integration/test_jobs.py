"""What all jobs share: help and clear errors."""

import re
import subprocess
import sys

import pytest

from tests.integration.conftest import ROOT

JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))


@pytest.mark.parametrize("name", JOBS)
def test_help_comes_from_the_settings_without_loading_a_framework(name):
    code = (
        "import runpy, sys; sys.argv = ['job', '--help']\n"
        f"try: runpy.run_path('jobs/{name}.py', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "loaded = {'ray', 'tensorflow', 'torch', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("pipeline", ["--audio-dir", "nowhere"], "--audio-dir .*nowhere does not exist"),
        (
            "preprocess",
            ["--audio-dir", "nowhere", "--dataset-dir", "{tmp}/d"],
            "--audio-dir .*nowhere does not exist",
        ),
        (
            "tune_cnn",
            ["--dataset-dir", "nowhere", "--run-dir", "{tmp}/r"],
            "nowhere is not a dataset",
        ),
        (
            "tune_cnn",
            ["--dataset-dir", "{data}", "--run-dir", "{tmp}/r", "--use-gpu"],
            "--use-gpu .* the cluster has 0",
        ),
        (
            "train_cgan",
            ["--dataset-dir", "{data}", "--run-dir", "{tmp}/r", "--num-workers", "8"],
            "8 workers need a CPU core each, the cluster has 2",
        ),
        (
            "train_cgan",
            ["--dataset-dir", "{data}", "--run-dir", "{tmp}/r", "--batch-size", "33"],
            "--batch-size 33 must be at most 32, the number of training clips",
        ),
        (
            "train_cgan",
            ["--dataset-dir", "nowhere", "--run-dir", "{tmp}/r"],
            "nowhere is not a dataset",
        ),
        (
            "predict",
            ["--model", "nowhere.keras", "--audio-dir", "{data}", "--output", "{tmp}/s.csv"],
            "nowhere.keras does not exist",
        ),
        (
            "generate",
            ["--generator", "nowhere", "--label", "a", "--output-dir", "{tmp}/w"],
            "nowhere does not exist: give the generator.safetensors",
        ),
    ],
)
def test_bad_input_ends_in_one_clear_line(job, dataset_dir, tmp_path, name, arguments, message):
    filled = [argument.format(tmp=tmp_path, data=dataset_dir) for argument in arguments]
    refused = job(name, *filled, expect=2)
    lines = refused.stderr.strip().splitlines()
    assert len(lines) == 1, refused.stderr
    assert re.search(message, lines[0]), lines[0]
    assert not list(tmp_path.iterdir()), "nothing is left behind"
