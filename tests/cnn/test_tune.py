import pytest
import ray

from freqquest.cnn import tune
from freqquest.cnn.tune_config import TuneConfig


@pytest.mark.parametrize("finds", [True, False])
def test_gpus_that_tensorflow_does_not_find_are_not_requested(
    local_ray, finds, monkeypatch, capsys
):
    remote = ray.remote
    # Run the check without a GPU, which this machine may not have.
    monkeypatch.setattr(ray, "remote", lambda num_gpus, **options: remote(**options))
    monkeypatch.setattr(tune, "finds_gpu", lambda: finds)
    config = TuneConfig(dataset_dir="unused", run_dir="unused", use_gpu=True)
    assert tune._without_unusable_gpu(config).use_gpu is finds
    assert ("TensorFlow finds no GPU" in capsys.readouterr().err) is not finds
