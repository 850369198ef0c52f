import pytest

from freqquest.command import require_absolute
from freqquest.errors import UserError
from freqquest.needs import Needs


def test_a_relative_path_of_a_submitted_job_is_refused(monkeypatch):
    require_absolute(Needs(writes={"--run-dir": "results/run"}))
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"working_dir": "gcs://code.zip"}}')
    require_absolute(
        Needs(reads={"--metadata": None, "--audio-dir": "/a", "--test-dir": "~/b"}, writes={"--run-dir": "s3://c"})
    )
    with pytest.raises(UserError, match="--run-dir results/run is relative to the folder .*: give an absolute path"):
        require_absolute(Needs(writes={"--run-dir": "results/run"}))
