"""Each private name of Ray that we use is still Ray's; a new version of Ray is checked here."""

import dataclasses
import inspect
import signal
from pathlib import Path

import pytest
import ray

from freqquest.cluster import ray_internals


def sources(folder):
    return "".join(path.read_text() for path in (Path(ray.__file__).parent / folder).rglob("*.py"))


def test_the_version_is_the_one_that_was_checked():
    assert ray.__version__ == ray_internals.CHECKED_VERSION


def test_the_head_node_has_its_resource(local_ray):
    (node,) = ray.nodes()
    assert ray_internals.HEAD_NODE_RESOURCE in node["Resources"]


def test_ray_up_leaves_its_configuration_on_the_head():
    from ray.autoscaler._private import commands

    assert f'"{ray_internals.LAUNCHER_CONFIG}"' in inspect.getsource(commands)


def test_a_submitted_job_has_its_configuration_in_the_environment(monkeypatch):
    from ray._private.runtime_env import constants

    assert constants.RAY_JOB_CONFIG_JSON_ENV_VAR == ray_internals.JOB_CONFIG_VARIABLE
    assert not ray_internals.is_submitted_with_code()
    monkeypatch.setenv(
        ray_internals.JOB_CONFIG_VARIABLE, '{"runtime_env": {"working_dir": "gcs://code.zip"}}'
    )
    assert ray_internals.is_submitted_with_code()


def test_a_node_that_starts_here_has_the_cores_that_we_found():
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec

    with ray_internals.detected_cores(41):
        assert ResourceAndLabelSpec().resolve(is_head=True).to_resource_dict()["CPU"] == 41


def test_ray_handles_sigterm_by_a_function_that_can_be_replaced():
    own = signal.getsignal(signal.SIGTERM)
    with ray_internals.no_sigterm_handler():
        ray._private.utils.set_sigterm_handler(lambda *_: None)
    assert signal.getsignal(signal.SIGTERM) is own
    assert "ray._private.utils.set_sigterm_handler(" in inspect.getsource(ray.init)


@pytest.mark.parametrize(
    "name",
    [
        *ray_internals.QUIET_VARIABLES,
        ray_internals.OBJECT_STORE_VARIABLE,
        ray_internals.CONNECTION_ATTEMPTS_VARIABLE,
        ray_internals.KEEP_GPUS_VARIABLE,
    ],
)
def test_ray_reads_each_environment_variable(name, ray_sources):
    is_read = f'"{name}"' in ray_sources
    assert is_read


@pytest.fixture(scope="module")
def ray_sources():
    return sources("_common/usage") + sources("_private") + sources("tune")


def test_ray_data_has_our_settings():
    from ray.data import DataContext

    fields = {field.name for field in dataclasses.fields(DataContext)}
    assert set(ray_internals.DATA_CONTEXT_SETTINGS) <= fields


def test_ray_data_asks_for_the_size_of_the_cluster_as_often_as_we_say(monkeypatch):
    from ray.data._internal.execution.resource_manager import ResourceManager

    monkeypatch.setattr(ResourceManager, "GLOBAL_LIMITS_UPDATE_INTERVAL_S", 1)
    ray_internals.use_all_cores_at_once()
    assert ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S < 1
    assert "self.GLOBAL_LIMITS_UPDATE_INTERVAL_S" in inspect.getsource(
        ResourceManager.get_global_limits
    )


def test_ray_data_warns_with_the_text_that_we_silence():
    assert ray_internals.RAY_REMOTE_ARGS_WARNING in sources("data").replace("``", "`")


def test_an_error_of_a_worker_carries_its_cause(local_ray):
    @ray.remote
    def fail():
        raise ValueError("of the worker")

    with pytest.raises(ValueError, match="of the worker") as raised:
        ray.get(fail.remote())
    assert str(raised.value.cause) == "of the worker"


def test_ray_gives_up_to_start_with_the_text_that_we_know(ray_sources):
    assert ray_internals.START_TIMEOUT_TEXT in ray_sources


def test_ray_train_reads_the_time_that_it_waits_for_workers():
    from ray.train.v2._internal import constants

    variable = constants.WORKER_GROUP_START_TIMEOUT_S_ENV_VAR
    assert variable == ray_internals.WORKER_START_TIMEOUT_VARIABLE


def test_a_restored_search_gets_our_callbacks(tmp_path):
    from ray import tune

    tuner = tune.Tuner(len, run_config=tune.RunConfig(storage_path=str(tmp_path)))
    ray_internals.set_callbacks(tuner, [tune.Callback()])
    assert len(tuner._local_tuner._run_config.callbacks) == 1
    assert "self._run_config.callbacks" in inspect.getsource(type(tuner._local_tuner))


def test_the_callback_for_mlflow_keeps_the_runs_of_trials_by_the_name_that_we_read():
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    assert "self._trial_runs[trial] = run.info.run_id" in inspect.getsource(MLflowLoggerCallback)


def test_a_failed_health_check_in_ray_train_is_a_lost_worker():
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    lost = WorkerHealthCheckFailedError("health check failed", RuntimeError("actor died"))
    assert ray_internals.is_lost_worker(lost)
    assert not ray_internals.is_lost_worker(RuntimeError("no space"))
