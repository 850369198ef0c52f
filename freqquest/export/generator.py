"""A generator as an ONNX graph from noise and class to a spectrogram, by PyTorch's own export.

torch is imported inside the functions; no Ray. Shapes: N clips, Z noise values, M mel bands, T
frames.
"""

import logging
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freqquest.errors import UserError
from freqquest.export import description
from freqquest.export.agreement import ExportReport, Measurement, largest_difference, run_each
from freqquest.export.config import ONNX_OPSET, ExportConfig
from freqquest.export.runtimes import load, require_packages
from freqquest.storage import Location

if TYPE_CHECKING:
    from freqquest.cgan.generator_file import TrainedGenerator

_NUM_CLIPS = 16
"""Clips that are generated to compare the models."""

Inputs = dict[str, np.ndarray]


def export_generator(config: ExportConfig, model_file: Location, path: Path) -> ExportReport:
    """Write a generator as an ONNX file, and compare both.

    Raises:
        UserError: The generator is unusable, packages are missing, or the settings are those of a
            classifier.
    """
    if config.format != "onnx":
        raise UserError(
            f"`format={config.format}` needs a classifier, and `model={model_file}` is a "
            "generator: use `format=onnx`"
        )
    if config.dataset_dir is not None:
        raise UserError(
            f"`dataset_dir` needs a classifier, and `model={model_file}` is a generator: leave it "
            "out"
        )
    require_packages(config.format, onnx_converter="onnxscript")
    from freqquest.cgan.devices import threads
    from freqquest.cgan.generator_file import load_generator

    trained = load_generator(model_file, "model")
    path.write_bytes(_to_onnx(trained))
    exported = load("onnx", path)
    inputs = draw_inputs(trained, _NUM_CLIPS)
    clips = [{name: each[n : n + 1] for name, each in inputs.items()} for n in range(_NUM_CLIPS)]
    with threads(1):
        wanted, wanted_ms = run_each(lambda clip: _run_original(trained, clip), clips)
    given, given_ms = run_each(lambda clip: exported(**clip), clips)
    difference = largest_difference(_as_decibels(wanted), _as_decibels(given))
    return ExportReport(
        names=("safetensors", "onnx"),
        num_bytes=(model_file.num_bytes(), path.stat().st_size),
        measurements=(
            Measurement(ms_per_clip=wanted_ms),
            Measurement(ms_per_clip=given_ms, largest_difference=difference),
        ),
        clips=f"spectrograms of {_NUM_CLIPS} clips",
        unit="dB",
    )


def _run_original(trained: "TrainedGenerator", inputs: Inputs) -> np.ndarray:
    import torch

    noise, labels = torch.from_numpy(inputs["noise"]), torch.from_numpy(inputs["label"])
    return np.asarray(trained.spectrograms(noise, labels).numpy())


def _to_onnx(trained: "TrainedGenerator") -> bytes:
    """Return the content of an ONNX file, with its description inside.

    Its inputs are `noise` `[N, Z]`, float32, and `label` `[N]`, int64; its output is `spectrogram`
    `[N, M, T]`, float32, ln(1 + power).
    """
    import torch

    class Spectrograms(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = trained.network

        def forward(self, noise: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return trained.decode(self.network(noise, label), label)

    examples = tuple(torch.from_numpy(each) for each in draw_inputs(trained, 2).values())
    num_clips = torch.export.Dim("N")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # operators of torchvision are missing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own code, and two names of N
        program = torch.onnx.export(
            Spectrograms().eval(),
            examples,
            input_names=["noise", "label"],
            output_names=["spectrogram"],
            dynamic_shapes=({0: num_clips}, {0: num_clips}),
            opset_version=ONNX_OPSET,
            verbose=False,
        )
    assert program is not None
    content = program.model_proto.SerializeToString()
    return description.add_to_onnx(content, description.describe_generator(trained.card))


def draw_inputs(trained: "TrainedGenerator", num_clips: int) -> Inputs:
    """Return noise and labels of some clips, of all classes in turn."""
    shape = num_clips, trained.card.cgan_config.noise_dim
    return {
        "noise": np.random.default_rng(0).standard_normal(shape, dtype=np.float32),
        "label": np.arange(num_clips) % len(trained.card.classes),
    }


def _as_decibels(spectrograms: np.ndarray) -> np.ndarray:
    return spectrograms * (10 / math.log(10))
