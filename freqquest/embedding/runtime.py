"""The files of networks in their runtimes, on one core. The runtimes are optional packages.

They are imported inside the functions; no Ray. Shapes: S samples.
"""

from collections.abc import Callable
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from freqquest.errors import UserError

if TYPE_CHECKING:
    import onnx

Run = Callable[[np.ndarray], np.ndarray]
"""Function from a network's input, in its own shape, to the tensor that was asked for."""


class Tensor(NamedTuple):
    """A tensor of a network."""

    name: str
    shape: tuple[int | None, ...]
    """None for sides of any length."""
    is_float: bool

    def __str__(self) -> str:
        sides = ", ".join("any" if side is None else str(side) for side in self.shape)
        return f"{self.name} [{sides}]"


class OpenNetwork(NamedTuple):
    """A network in its runtime."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    tensors: list[Tensor]
    """Outputs and inner tensors."""
    run_for: Callable[[str], Run]
    """Returns the function that computes a tensor, given its name."""


def require_packages(name: str) -> None:
    """Refuse a network whose runtime is not installed.

    Args:
        name: Name of its file.

    Raises:
        UserError: It is not installed; the text says how to install it.
    """
    packages = ("onnx", "onnxruntime") if name.endswith(".onnx") else ("ai_edge_litert",)
    if missing := [package for package in packages if find_spec(package) is None]:
        raise UserError(
            f"`embedding={name}` needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'freqquest[embedding]' (in a checkout: "
            ".venv/bin/pip install -e '.[embedding]')"
        )


def open_litert(content: bytes) -> OpenNetwork:
    """Load a `.tflite` file.

    Raises:
        ValueError: It is not such a file, or uses operators that LiteRT lacks.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=content, num_threads=1)
    outputs = [_litert_tensor(details) for details in interpreter.get_output_details()]

    def run_for(name: str) -> Run:
        runner = interpreter
        if name not in [output.name for output in outputs]:
            # Delegates, which are quicker, do not keep inner tensors.
            runner = Interpreter(
                model_content=content,
                num_threads=1,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
        (given,) = runner.get_input_details()
        (wanted,) = [each for each in runner.get_tensor_details() if each["name"] == name]

        runner.allocate_tensors()
        lock = Lock()  # a runner has one set of tensors, and threads share it

        def run(samples: np.ndarray) -> np.ndarray:
            with lock:
                if tuple(runner.get_input_details()[0]["shape"]) != samples.shape:
                    runner.resize_tensor_input(given["index"], samples.shape)
                    runner.allocate_tensors()
                runner.set_tensor(given["index"], samples)
                runner.invoke()
                return np.array(runner.get_tensor(wanted["index"]))

        return run

    return OpenNetwork(
        inputs=[_litert_tensor(details) for details in interpreter.get_input_details()],
        outputs=outputs,
        tensors=[_litert_tensor(details) for details in interpreter.get_tensor_details()],
        run_for=run_for,
    )


def _litert_tensor(details: dict[str, object]) -> Tensor:
    shape: np.ndarray = details["shape_signature"]  # type: ignore[assignment]
    return Tensor(
        name=str(details["name"]),
        shape=tuple(None if side < 0 else int(side) for side in shape),
        is_float=details["dtype"] is np.float32,
    )


def open_onnx(content: bytes) -> OpenNetwork:
    """Load an `.onnx` file.

    Raises:
        ValueError: It is not such a file, or uses operators that ONNX Runtime lacks.
    """
    import onnx
    import onnxruntime

    try:
        model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content))
    except Exception as error:  # onnx and protobuf raise many kinds
        raise ValueError(str(error).strip().partition("\n")[0]) from error
    graph = model.graph
    constants = {each.name for each in graph.initializer}
    known = {each.name: each for each in [*graph.value_info, *graph.output]}
    inner = [name for node in graph.node for name in node.output if name]
    outputs = [_onnx_tensor(each) for each in graph.output]

    def run_for(name: str) -> Run:
        if name not in [output.name for output in outputs]:
            graph.output.append(
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has many kinds of its own
            raise ValueError(str(error).strip().partition("\n")[0]) from error
        (given,) = session.get_inputs()

        def run(samples: np.ndarray) -> np.ndarray:
            (vector,) = session.run([name], {given.name: samples})
            return np.asarray(vector)

        return run

    return OpenNetwork(
        inputs=[_onnx_tensor(each) for each in graph.input if each.name not in constants],
        outputs=outputs,
        tensors=[
            _onnx_tensor(known[name]) if name in known else Tensor(name, (), True) for name in inner
        ],
        run_for=run_for,
    )


def _onnx_tensor(value: "onnx.ValueInfoProto") -> Tensor:
    kind = value.type.tensor_type
    sides = kind.shape.dim
    return Tensor(
        name=value.name,
        shape=tuple(side.dim_value if side.HasField("dim_value") else None for side in sides),
        is_float=kind.elem_type == 1,
    )
