import pytest
import ray

from freqquest.cnn import gpu_backend
from freqquest.cnn.gpu_backend import find_gpu_backend


@pytest.mark.parametrize(
    ("finders", "expected"),
    [({"tensorflow", "torch"}, "tensorflow"), ({"torch"}, "torch"), (set(), None)],
)
def test_the_first_framework_that_finds_a_gpu_is_used(
    local_ray, finders, expected, monkeypatch, capsys
):
    remote = ray.remote
    # Run the check without a GPU, which this machine may not have.
    monkeypatch.setattr(ray, "remote", lambda num_gpus, **options: remote(**options))
    monkeypatch.setattr(gpu_backend, "finds_gpu", lambda backend: backend in finders)
    assert find_gpu_backend() == expected
    warning = "neither TensorFlow nor PyTorch finds a GPU, so the classifier runs on CPU cores"
    assert (warning in capsys.readouterr().err) is (expected is None)
