"""The search for a framework that finds the GPUs of the cluster.

Runs in the driver; only its tasks load a framework.
"""

import sys
from contextlib import suppress
from typing import get_args

import ray
import ray.exceptions

from freqquest.cnn.devices import finds_gpu
from freqquest.cnn.frameworks import Backend


def find_gpu_backend() -> Backend | None:
    """Return the backend that Keras needs on the cluster's GPUs; say so if there is none.

    TensorFlow comes first, though with the pinned packages it finds no GPU: it needs the libraries
    of CUDA 12, and PyTorch brings those of CUDA 13. Needs an initialized Ray with a GPU.
    """
    ask = ray.remote(num_cpus=0, num_gpus=1, max_calls=1)(finds_gpu)
    backends: tuple[Backend, ...] = get_args(Backend)
    for backend in backends:
        with suppress(ray.exceptions.RayError):  # its libraries may crash the process
            if ray.get(ask.remote(backend)):
                return backend
    print(
        "neither TensorFlow nor PyTorch finds a GPU, so the classifier runs on CPU cores: check "
        "the NVIDIA driver of the GPU nodes",
        file=sys.stderr,
    )
    return None
