import pytest

from freqquest.cli import require_absolute_paths
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError


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
        UserError, match="--run-dir results/run is relative to the folder .*: give an absolute path"
    ):
        require_absolute_paths(Requirements(writes={"run_dir": "results/run"}))
