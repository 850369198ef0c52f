import shutil
import subprocess
import sys

import pytest

from freqquest.cnn.devices import Device, finds_gpu


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
def test_tensorflow_finds_no_gpu_on_a_machine_without_one():
    assert not finds_gpu("tensorflow")


def test_only_gpus_get_threads_that_prepare_batches():
    assert Device(num_threads=3).num_loader_threads == 0
    assert Device(num_threads=3, gpu_backend="torch").num_loader_threads == 3


def test_a_process_on_torch_uses_its_cores_and_exact_products_and_keeps_its_backend():
    code = """
import sys, torch
from freqquest.cnn.classifier import grow_gpu_memory
from freqquest.cnn.devices import Device, prepare
from freqquest.errors import UserError

prepare(Device(gpu_backend="torch", num_threads=1))
print(torch.get_num_threads(), torch.get_num_interop_threads())
print(torch.backends.cudnn.allow_tf32)
grow_gpu_memory()
print("tensorflow" in sys.modules)
try:
    prepare(Device())
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    threads, has_tensor_float, has_tensorflow, error = done.stdout.splitlines()
    assert (threads, has_tensor_float, has_tensorflow) == ("1 1", "False", "False")
    assert "Keras is loaded with the backend torch" in error
