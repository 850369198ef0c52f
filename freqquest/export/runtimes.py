"""Exported files in their own runtimes, of which ONNX Runtime and LiteRT get one core.

The runtimes are imported inside the functions; no Ray.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from freqquest.errors import UserError
from freqquest.export.config import Format

Run = Callable[..., np.ndarray]
"""Function from a file's inputs, by name, to its output."""


def require_packages(kind: Format, onnx_converter: str) -> None:
    """Refuse a format whose packages are not installed.

    Args:
        kind: The format.
        onnx_converter: Package that writes ONNX files of such a model.

    Raises:
        UserError: Some are missing; the text says how to install them.
    """
    packages: dict[Format, tuple[str, ...]] = {
        "onnx": ("onnx", onnx_converter, "onnxruntime"),
        "litert": ("ai_edge_litert",),
        "saved_model": (),
    }
    if missing := [name for name in packages[kind] if find_spec(name) is None]:
        raise UserError(
            f"`format={kind}` needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'freqquest[export]' (in a checkout: .venv/bin/pip install -e '.[export]')"
        )


def load(kind: Format, path: Path) -> Run:
    """Load an exported file into its runtime."""
    loaders = {"onnx": _load_onnx, "litert": _load_litert, "saved_model": _load_saved_model}
    return loaders[kind](path)


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(**inputs: np.ndarray) -> np.ndarray:
        (output,) = session.run(None, inputs)
        return np.asarray(output)

    return run


def _load_litert(path: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=1).get_signature_runner()

    def run(**inputs: np.ndarray) -> np.ndarray:
        (output,) = runner(**inputs).values()
        return np.asarray(output)

    return run


def _load_saved_model(path: Path) -> Run:
    from freqquest.cnn.frameworks import tf

    model = tf.saved_model.load(str(path))

    def run(**inputs: np.ndarray) -> np.ndarray:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        (output,) = model.signatures["serve"](**tensors).values()
        return np.asarray(output.numpy())

    return run
