"""Networks that turn a waveform into its mean, its power and its peak, as files of both formats."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from freqquest.embedding.config import EmbeddingConfig

DESCRIPTION = EmbeddingConfig(
    name="ears.onnx",
    sha256="",
    sample_rate_hz=16_000,
    tensor="mean",
    num_samples=None,
    num_values=4,
)
"""Description of a network that no test runs."""


def vector_of(window: np.ndarray) -> np.ndarray:
    """Return the vector that the networks compute of a window."""
    return np.array([window.mean(), np.square(window).mean(), window.max()], np.float32)


def write_onnx(
    path: Path,
    num_samples: int | None = None,
    *,
    outputs: tuple[str, ...] = ("vector",),
    inputs: tuple[str, ...] = ("waveform",),
    kind: int = TensorProto.FLOAT,
    gain: float = 1.0,
) -> Path:
    """Write a network in ONNX; its inner tensors are `squares`, `mean`, `power` and `peak`.

    Args:
        path: File to write.
        num_samples: Samples of its input `[1, S]`; None for any number.
        outputs: Names of its outputs.
        inputs: Names of its inputs, of which it uses the first.
        kind: Type of its inputs.
        gain: Factor of the waveform. 0 makes the vector constant.
    """
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    factor = helper.make_tensor("gain", TensorProto.FLOAT, [], [gain])
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "gain"], ["louder"]),
        helper.make_node("Mul", ["louder", "louder"], ["squares"]),
        helper.make_node("ReduceMean", ["louder", "axes"], ["mean"]),
        helper.make_node("ReduceMean", ["squares", "axes"], ["power"]),
        helper.make_node("ReduceMax", ["louder", "axes"], ["peak"]),
        helper.make_node("Concat", ["mean", "power", "peak"], ["vector"], axis=1),
        helper.make_node("Neg", ["vector"], ["negative"]),
        helper.make_node("Log", ["power"], ["level"]),
        helper.make_node("Concat", ["level", "vector"], ["levels"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, kind, [1, num_samples or "samples"])
            for name in inputs
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None]) for name in outputs],
        [axes, factor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def write_litert(path: Path, num_samples: int | None = None) -> Path:
    """Write a network in LiteRT whose input is `[1, S]`; one of its inner tensors is `squares`."""
    import keras
    import tensorflow as tf

    waveform = keras.Input((num_samples,), batch_size=1)
    squares = keras.layers.Multiply(name="squares")([waveform, waveform])
    sides = [
        keras.ops.mean(waveform, 1, keepdims=True),
        keras.ops.mean(squares, 1, keepdims=True),
        keras.ops.max(waveform, 1, keepdims=True),
    ]
    vector = keras.ops.concatenate(sides, 1)
    # Two operations, so that the first is an inner tensor.
    halves = keras.layers.Rescaling(0.5, name="halves")(vector)
    model = keras.Model(waveform, keras.layers.Rescaling(2.0, name="vector")(halves))
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path
