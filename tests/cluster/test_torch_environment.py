import os
from types import SimpleNamespace

import pytest
import ray

from freqquest.cluster import torch_environment


@pytest.fixture
def variable(monkeypatch):
    """The name of the only variable; the tests' own Ray has OMP_WAIT_POLICY already."""
    monkeypatch.setattr(torch_environment, "VARIABLES", {"FREQQUEST_TEST_POLICY": "PASSIVE"})
    return "FREQQUEST_TEST_POLICY"


def test_a_worker_starts_with_the_variables(local_ray, variable):
    def environment():
        return os.environ.get(variable)

    remote = ray.remote(num_cpus=0, runtime_env=torch_environment.torch_environment())(environment)
    assert ray.get(remote.remote()) == "PASSIVE"


def test_a_variable_that_the_user_has_set_is_left_out(local_ray, variable, monkeypatch):
    monkeypatch.setenv(variable, "ACTIVE")
    assert torch_environment.torch_environment() == {}


def test_a_variable_that_the_job_has_set_is_left_out(variable, monkeypatch):
    of_job = {"env_vars": {variable: "ACTIVE"}, "working_dir": "gcs://code.zip"}
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(runtime_env=of_job))
    assert torch_environment.torch_environment() == {}
