import shutil

import pytest
import ray

from freqquest.cnn import tune as job
from freqquest.cnn.config import TuneConfig
from freqquest.cnn.final_model_worker import finds_gpu


@pytest.mark.parametrize("finds", [True, False])
def test_gpus_that_tensorflow_does_not_find_are_not_held(local_ray, finds, monkeypatch, capsys):
    remote = ray.remote
    monkeypatch.setattr(
        ray, "remote", lambda num_gpus, **options: remote(**options)
    )  # as if there was one
    monkeypatch.setattr(job, "finds_gpu", lambda: finds)
    config = TuneConfig(dataset_dir="unused", run_dir="unused", use_gpu=True)
    assert job._without_unusable_gpu(config).use_gpu is finds
    assert ("TensorFlow finds no GPU" in capsys.readouterr().err) is not finds


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
def test_tensorflow_finds_no_gpu_where_there_is_none():
    assert not finds_gpu()
