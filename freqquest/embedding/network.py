"""Vectors of clips, by a pretrained network.

NumPy, soxr and the network's runtime; no Ray. Shapes: S samples, W windows, D values of a vector.
"""

import dataclasses
import zipfile
from hashlib import sha256
from threading import Lock

import numpy as np
import soxr

from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.known import KNOWN
from freqquest.embedding.runtime import (
    OpenNetwork,
    Tensor,
    open_litert,
    open_onnx,
    require_packages,
)
from freqquest.errors import UserError
from freqquest.storage import Location

_HOP_S = 0.5
"""Shortest step between two windows of a clip, so that windows a second apart share theirs."""

_SHOWN_TENSORS = 10


class EmbeddingNetwork:
    """A pretrained network that turns waveforms into vectors.

    Example:
        config, content = read_network("yamnet.tflite")
        vector = EmbeddingNetwork(config, content).embed(waveform, 22_050)  # [1024]
    """

    def __init__(self, config: EmbeddingConfig, content: bytes) -> None:
        """Load a network.

        Args:
            config: Its settings, as `read_network` found them.
            content: Its file.
        """
        network = _open(config.name, content)
        self.config = config
        self._shape = network.inputs[0].shape
        self._run = network.run_for(config.tensor)

    def embed(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the mean of the vectors of a clip's windows, `[D]`, float32.

        Windows are as long as the network's input, and begin at steps of half of that but of at
        least half a second; the clip is padded with silence if it is shorter than one. A network
        that takes any length gets the clip whole.

        Args:
            waveform: `[S]`, mono, full scale 1.0.
            sample_rate_hz: Sample rate of the waveform.
        """
        rate = self.config.sample_rate_hz
        if sample_rate_hz != rate:
            waveform = soxr.resample(waveform, sample_rate_hz, rate, quality="HQ")
        vectors = [self._vector(window) for window in self._windows(waveform)]
        mean: np.ndarray = np.stack(vectors).mean(axis=0)
        return mean

    def _windows(self, waveform: np.ndarray) -> list[np.ndarray]:
        length = self.config.num_samples
        if length is None:
            return [waveform]
        hop = max(length // 2, round(_HOP_S * self.config.sample_rate_hz))
        padded = np.pad(waveform, (0, max(0, length - len(waveform))))
        return [padded[at : at + length] for at in range(0, len(padded) - length + 1, hop)]

    def _vector(self, window: np.ndarray) -> np.ndarray:
        shape = _shape_of(self._shape, len(window))
        output = self._run(np.ascontiguousarray(window, np.float32).reshape(shape))
        vector: np.ndarray = output.reshape(-1, output.shape[-1]).mean(axis=0)
        return vector


_loaded: dict[EmbeddingConfig, EmbeddingNetwork] = {}
"""The network that this process has loaded."""

_loading = Lock()


def cached_network(config: EmbeddingConfig, file: Location) -> EmbeddingNetwork:
    """Return a network, which a process loads once.

    Args:
        config: Its settings.
        file: Its file, or a model file that holds it.

    Raises:
        UserError: The file is missing or is another one, or its runtime is not installed.
    """
    with _loading:
        if config not in _loaded:
            network = EmbeddingNetwork(config, read_again(config, file))
            _loaded.clear()
            _loaded[config] = network
        return _loaded[config]


def read_again(config: EmbeddingConfig, file: Location) -> bytes:
    """Return the file of a network that was read before.

    Args:
        config: Its settings.
        file: Its file, or a model file that holds it.

    Raises:
        UserError: It is missing, is another one, or its runtime is not installed.
    """
    require_packages(config.name)
    if not file.is_file():
        raise UserError(f"{file}, the network {config.name}, is missing: put it back")
    content = _read(file, config.file_name)
    if _hash(content) != config.sha256:
        raise UserError(
            f"{file} is not the network {config.name}: its SHA-256 differs; put it back"
        )
    return content


def _read(file: Location, name: str) -> bytes:
    """Return a member of an archive, or the whole file if it has none of that name."""
    with file.open() as stream:
        if zipfile.is_zipfile(stream):  # also files of LiteRT, which may hold the names of classes
            with zipfile.ZipFile(stream) as archive:
                if name in archive.namelist():
                    return archive.read(name)
        stream.seek(0)
        return stream.read()


def read_network(
    file: Location, sample_rate_hz: int | None = None, tensor: str | None = None
) -> tuple[EmbeddingConfig, bytes]:
    """Read the file of a network, and find out its settings by trying it.

    Args:
        file: A `.tflite` or `.onnx` file.
        sample_rate_hz: Sample rate of its input; may be left out for known networks.
        tensor: Name of the tensor with the vector, or a part of it that no other tensor has; may be
            left out for known networks, and for those with one output.

    Raises:
        UserError: The file or its tensors are not usable, a setting is missing, or the runtime is
            not installed.
    """
    name = file.name
    if not name.endswith((".tflite", ".onnx")):
        raise UserError(f"`embedding={file}` must be a .tflite or .onnx file: convert it to one")
    require_packages(name)
    if not file.is_file():
        raise UserError(f"`embedding={file}` does not exist: give the file of a network")
    content = file.read_bytes()
    known = KNOWN.get(_hash(content))
    rate = sample_rate_hz or (known and known.sample_rate_hz)
    if rate is None:
        raise UserError(
            f"`embedding_rate` is missing: the file {name} does not tell at which rate it hears, "
            "such as 16000 Hz; see where it was published"
        )
    network = _open(name, content)
    config = EmbeddingConfig(
        name=name,
        sha256=_hash(content),
        sample_rate_hz=rate,
        tensor=_find(network, tensor or (known and known.tensor), name),
        num_samples=_length(network, name),
        num_values=0,
    )
    return _with_length(config, content), content


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()


def _open(name: str, content: bytes) -> OpenNetwork:
    try:
        return open_onnx(content) if name.endswith(".onnx") else open_litert(content)
    except ValueError as error:
        raise UserError(
            f"`embedding={name}` cannot be loaded ({error}): give another file"
        ) from error


def _length(network: OpenNetwork, name: str) -> int | None:
    """Return the samples of the input, None for any number; refuse other inputs than a waveform."""
    shape = network.inputs[0].shape if network.inputs else ()
    longer = [side for side in shape if side != 1]
    is_waveform = (
        len(network.inputs) == 1
        and network.inputs[0].is_float
        and shape
        and sum(side is not None for side in longer) <= 1
        and longer
    )
    if not is_waveform:
        raise UserError(
            f"`embedding={name}` must take one waveform of 32-bit floats, but its inputs are "
            f"{_list(network.inputs)}: give a network with the spectrogram inside"
        )
    fixed = [side for side in longer if side is not None]
    return fixed[0] if fixed else None


def _shape_of(shape: tuple[int | None, ...], num_samples: int) -> tuple[int, ...]:
    """Return the shape of an input with a waveform in it: all other sides are 1.

    The samples are at the only fixed side above 1, else at the last one of any length.
    """
    fixed = [axis for axis, side in enumerate(shape) if side not in (None, 1)]
    free = [axis for axis, side in enumerate(shape) if side is None]
    axis = (fixed or free)[-1]
    return tuple(num_samples if each == axis else 1 for each in range(len(shape)))


def _find(network: OpenNetwork, tensor: str | None, name: str) -> str:
    """Return the full name of the tensor with the vector."""
    if tensor is None:
        if len(network.outputs) == 1 and network.outputs[0].is_float:
            return network.outputs[0].name
        raise UserError(
            f"`embedding_tensor` is missing: {name} has several outputs, {_list(network.outputs)}"
        )
    floats = [each for each in network.tensors if each.is_float]
    exact = [each for each in floats if each.name == tensor]
    found = exact or [each for each in floats if tensor in each.name]
    if len(found) != 1:
        problem = f"is in the names of {_list(found)}" if found else "is in no name of a tensor"
        others = "" if found else f"; its outputs are {_list(network.outputs)}"
        raise UserError(
            f"`embedding_tensor={tensor}` {problem} of {name}{others}: give the whole name of one"
        )
    return found[0].name


def _list(tensors: list[Tensor]) -> str:
    shown = ", ".join(map(str, tensors[:_SHOWN_TENSORS]))
    rest = len(tensors) - _SHOWN_TENSORS
    return (shown or "none") + (f" and {rest} more" if rest > 0 else "")


def _with_length(config: EmbeddingConfig, content: bytes) -> EmbeddingConfig:
    """Add the length of the vector, found by embedding two seconds of noise, and of silence.

    Raises:
        UserError: The network fails, or its vector is none.
    """
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * config.sample_rate_hz).astype(np.float32)
    try:
        network = EmbeddingNetwork(config, content)
        vector = network.embed(noise, config.sample_rate_hz)
        of_silence = network.embed(np.zeros_like(noise), config.sample_rate_hz)
    except Exception as error:  # runtimes raise many kinds
        problem = str(error).strip().partition("\n")[0]
        raise UserError(
            f"`embedding={config.name}` fails on two seconds of noise ({problem}): give another "
            "file, or another `embedding_tensor`"
        ) from error
    if len(vector) < 2 or not np.isfinite(vector).all() or not vector.std():
        raise UserError(
            f"`embedding_tensor={config.tensor}` gives no vector for two seconds of noise: name "
            "another tensor"
        )
    if not np.isfinite(of_silence).all():
        raise UserError(
            f"`embedding_tensor={config.tensor}` is infinite or NaN for silence, which clips may "
            "have: name another tensor"
        )
    return dataclasses.replace(config, num_values=len(vector))
