"""Command lines: settings, help, errors in one line, and flags."""

from dataclasses import dataclass

import pytest

from freqquest import cli_form
from freqquest.cli import choose, parse, report_errors, require_absolute_paths, with_flags
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ExampleConfig:
    """Settings of a job of these tests."""

    run_dir: str
    """Folder for all
    results.

    Not for others."""

    num_trials: int | None = None
    """Number of trials; `run_dir` keeps them, and `default` is no setting."""

    use_gpu: bool = False
    """Train on GPUs."""

    def __post_init__(self):
        if self.num_trials == 0:
            raise ValueError(f"`num_trials={self.num_trials}` must be 1 or more")

    @property
    def requirements(self):
        return Requirements(writes={"run_dir": self.run_dir})


def parse_example(*arguments):
    return parse(
        ExampleConfig,
        arguments,
        prog="freqquest example",
        description="Do it.",
        examples=("--run-dir a", "--run-dir b --use-gpu"),
    )


def test_settings_come_from_flags():
    config = parse_example("--run-dir", "a", "--num-trials", "3", "--use-gpu")
    assert config == ExampleConfig(run_dir="a", num_trials=3, use_gpu=True)
    assert parse_example("--run-dir", "a", "--num-trials", "None").num_trials is None


def test_a_value_may_begin_with_a_dash():
    assert parse_example("--run-dir", "-dash").run_dir == "-dash"
    assert parse_example("--run-dir", "--all", "--num-trials", "3").run_dir == "--all"


def test_a_flag_without_its_value_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_example("--run-dir", "--num-trials", "3")
    assert "--run-dir" in capsys.readouterr().err


def test_a_number_that_is_none_is_refused_in_words(capsys):
    with pytest.raises(SystemExit) as end:
        parse_example("--run-dir", "a", "--num-trials", "ten")
    assert end.value.code == 2
    assert "Error parsing --num-trials: ten must be a whole number " in capsys.readouterr().err


def test_help_reflows_paragraphs_shows_flags_and_ends_with_examples(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        parse_example("--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: freqquest example [-h]")
    assert "--run-dir DIR  " in text
    assert "Folder for all results.  " in text
    assert "--num-trials N  " in text
    assert "--run-dir keeps them, and `default` is no setting. (optional)" in text
    assert text.endswith(
        "Examples:\n  freqquest example --run-dir a\n  freqquest example --run-dir b --use-gpu\n"
    )


def test_a_long_example_is_wrapped_for_the_shell():
    wrapped = cli_form._wrap(" ".join(["--audio-dir s3://bucket/a-long-name"] * 4))
    assert wrapped.replace(" \\\n     ", "").split() == wrapped.replace("\\", "").split()
    assert max(map(len, wrapped.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--run-dir", "a", "--num-trials", "0"], "error: --num-trials 0 must be 1 or more\n"),
        (["--run-dir"], None),
        ([], None),
        (["--run-dir", "a", "--trials", "3"], None),
    ],
)
def test_bad_settings_end_with_code_2(capsys, arguments, line):
    with pytest.raises(SystemExit) as end:
        parse_example(*arguments)
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert text == line if line else "freqquest example --help" in text


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (UserError("pass `use_gpu=True`, not `judge=x`"), "pass --use-gpu, not judge=x", 2),
        (OSError("no space left"), "no space left", 1),
        (KeyboardInterrupt(), "interrupted; finished stages are kept: run the same command", 130),
    ],
)
def test_errors_end_in_one_line_and_a_code(capsys, error, line, code):
    with pytest.raises(SystemExit) as end, report_errors(ExampleConfig):
        raise error
    assert end.value.code == code
    text = capsys.readouterr().err
    assert text.startswith(f"error: {line}")
    assert text.count("\n") == 1


def test_an_error_of_a_worker_is_shown_by_its_cause(capsys):
    error = UserError("a page of traceback")
    error.cause = UserError("what went wrong")
    with pytest.raises(SystemExit), report_errors():
        raise error
    assert capsys.readouterr().err == "error: what went wrong\n"


def test_an_error_of_our_own_code_keeps_its_traceback():
    with pytest.raises(ValueError, match="a bug"), report_errors():
        raise ValueError("a bug")


def test_marked_parameters_become_flags():
    assert with_flags("`a_b=1` needs `c_d`, or `e=True`") == "--a-b 1 needs --c-d, or --e"
    assert with_flags("`a_b=1` needs `c_d`", ["c_d"]) == "a_b=1 needs --c-d"


def test_a_choice_is_the_first_argument(capsys):
    def chosen(*arguments):
        return choose(
            arguments,
            {"tune_cnn": "Search.", "watch": "Look."},
            prog="freqquest",
            kind="job",
            description="Jobs.",
        )

    assert chosen("tune_cnn", "--help") == chosen("tune-cnn") == "tune_cnn"
    for arguments, code in [(["--help"], 0), ([], 2), (["nope"], 2)]:
        with pytest.raises(SystemExit) as end:
            chosen(*arguments)
        assert end.value.code == code
        shown = capsys.readouterr()
        assert (shown.out != "") == (code == 0)
        assert "tune_cnn" in shown.out + shown.err


def test_a_relative_path_of_a_submitted_job_is_refused(monkeypatch):
    require_absolute_paths(Requirements(writes={"run_dir": "results/run"}))
    monkeypatch.setenv(
        "RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"working_dir": "gcs://code.zip"}}'
    )
    require_absolute_paths(
        Requirements(
            reads={"metadata": None, "audio_dir": "/a", "test_dir": "~/b"},
            writes={"run_dir": "s3://c"},
        )
    )
    with pytest.raises(
        UserError, match="`run_dir=results/run` is relative to the folder .*: give an absolute path"
    ):
        require_absolute_paths(Requirements(writes={"run_dir": "results/run"}))
