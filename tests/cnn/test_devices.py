import shutil

import pytest

from freqquest.cnn.devices import finds_gpu


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
def test_tensorflow_finds_no_gpu_on_a_machine_without_one():
    assert not finds_gpu()
