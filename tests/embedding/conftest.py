from pathlib import Path

import pytest

from tests.embedding.tiny_networks import write_litert, write_onnx


@pytest.fixture(scope="session")
def networks(make_once) -> Path:
    """A folder of tiny networks: fixed.* take 800 samples, free.* any number; read only."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for name, num_samples in {"fixed": 800, "free": None}.items():
            write_onnx(folder / f"{name}.onnx", num_samples)
            write_litert(folder / f"{name}.tflite", num_samples)

    return make_once("networks", make)
