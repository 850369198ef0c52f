"""The bare loop of commit 6d09209 on every core, frozen: the yardstick of preprocessing.

It decodes clips and computes both recipes' spectrograms as freqquest did at that commit, and keeps
nothing. It imports nothing of the package but the number of cores, so that it stays as it is when
freqquest becomes faster, and a share of its speed means the same in every version. Do not improve
it. NumPy, SciPy, soundfile and soxr. As a program, it prints the seconds that the loop takes on the
paths of standard input, without imports and process startup.
Shapes: S samples, C channels, F FFT bins, M mel bands, T frames.
"""

import io
import math
import multiprocessing
import os
import re
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
import scipy.fft
import soundfile
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import csr_array

from freqquest.cluster.cores import num_usable_cores

_CHUNK = 64
_BUFFER_BYTES = 256 * 2**10
_RATE_HZ, _NUM_SAMPLES = 22_050, 88_200
_READ_S = 4.05
"""Seconds that are read of a file with another rate."""

_NUM_MELS = 128
_SAMPLES_AT_ONCE = 2**17
_TOP_DB = 80.0
_SMALLEST_POWER = 1e-10

_LOGGED_SIZE = re.compile(
    r"^ *(?:RIFF|RIFX|FORM|Riff size|data|SSND|Data Size) *: (\d+)\b(?: \(should be (\d+)\))?",
    re.MULTILINE,
)
_BROKEN_OGG = re.compile(
    r"^Ogg ?: (?:File ended unexpectedly|Last page lacks|Junk after the last page)", re.MULTILINE
)
_XING = re.compile(rb"(?:Xing|Info)\0{3}[\x03\x07\x0b\x0f].{4}(.{4})", re.DOTALL)


class FrozenView(NamedTuple):
    """Analysis of a waveform."""

    n_fft: int
    hop_length: int
    num_frames: int
    mel_scale: Literal["slaney", "htk"]
    padding: Literal["constant", "reflect"]
    compression: Literal["decibel", "log1p"]


FROZEN_VIEWS = {
    "cnn": FrozenView(2048, 512, 173, "slaney", "constant", "decibel"),
    "cgan": FrozenView(1024, 256, 512, "htk", "reflect", "log1p"),
}
"""Views of the two recipes."""


def frozen_waveform(path: str) -> np.ndarray:
    """Return the first 4 s of a file at 22,050 Hz, mono, `[S]`.

    Raises:
        ValueError: The file is truncated, empty, or has values that are not finite.
    """
    with Path(path).open("rb", buffering=_BUFFER_BYTES) as stream:
        with soundfile.SoundFile(stream) as file:
            rate, is_truncated = file.samplerate, _is_truncated(file.extra_info)
            num_frames = _NUM_SAMPLES if rate == _RATE_HZ else int(_READ_S * rate) + 1
            samples = file.read(num_frames, dtype="float32", always_2d=True)
            if file.format == "FLAC" and file.frames > num_frames:
                file.seek(file.frames - 1)
                file.read(1)
        if is_truncated or (file.format == "MP3" and _is_truncated_mp3(stream)):
            raise ValueError(f"{path} is truncated")
    if not len(samples) or not max(samples.max(), -samples.min()) <= 1e10:
        raise ValueError(f"{path} has no samples, or samples that are not finite")
    return _fit(_mix(samples), rate)


def _is_truncated(log: str) -> bool:
    """Return whether libsndfile's log of the header tells of missing bytes."""
    said, there = next(reversed(_LOGGED_SIZE.findall(log)), ("", ""))
    is_short = bool(there) and int(there) < int(said) < 0x7FFF0000
    return is_short or _BROKEN_OGG.search(log) is not None


def _is_truncated_mp3(stream: IO[bytes]) -> bool:
    num_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    table = _XING.search(stream.read(1 << 18))
    if table is None:
        return False
    return num_bytes - table.start() + 36 < 0.99 * int.from_bytes(table[1], "big")


def _mix(samples: np.ndarray) -> np.ndarray:
    """Return the mean of the channels: `[S, C]` to `[S]`."""
    num_channels = samples.shape[1]
    if num_channels == 1:
        return samples[:, 0]
    mixed: np.ndarray = samples @ np.full(num_channels, 1 / num_channels, np.float32)
    return mixed


def _fit(waveform: np.ndarray, rate: int) -> np.ndarray:
    """Resample a waveform `[S]`, and pad or cut it to the length of a clip."""
    if rate != _RATE_HZ:
        waveform = soxr.resample(waveform, rate, _RATE_HZ, quality="HQ")
    if waveform.shape[0] >= _NUM_SAMPLES:
        return waveform[:_NUM_SAMPLES]
    padded = np.zeros(_NUM_SAMPLES, waveform.dtype)
    padded[: waveform.shape[0]] = waveform
    return padded


def frozen_log_mel(waveform: np.ndarray, view: FrozenView) -> np.ndarray:
    """Return the log-mel spectrogram `[M, T]` of a waveform `[S]` at 22,050 Hz."""
    mel_power = _mel_power(waveform, view, _filters(view))
    compressed = np.log1p(mel_power) if view.compression == "log1p" else _to_decibel(mel_power)
    return np.pad(compressed, ((0, 0), (0, view.num_frames - compressed.shape[1])))


def _mel_power(waveform: np.ndarray, view: FrozenView, filters: csr_array) -> np.ndarray:
    padded = np.pad(waveform, view.n_fft // 2, mode=view.padding)
    frames = sliding_window_view(padded, view.n_fft)[:: view.hop_length][: view.num_frames]
    window = _hann(view.n_fft)
    mel_power = np.empty((_NUM_MELS, len(frames)), np.float32)
    step = max(1, _SAMPLES_AT_ONCE // view.n_fft)
    for start in range(0, len(frames), step):
        spectrum = scipy.fft.rfft(frames[start : start + step] * window, axis=-1)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        mel_power[:, start : start + len(power)] = filters @ np.ascontiguousarray(power.T)
    return mel_power


@lru_cache(maxsize=8)
def _hann(num_samples: int) -> np.ndarray:
    window: np.ndarray = np.hanning(num_samples + 1)[:-1].astype(np.float32)
    return window


@lru_cache(maxsize=8)
def _filters(view: FrozenView) -> csr_array:
    """Return the triangular mel filters `[M, F]`."""
    to_mel, to_hz = (_slaney_mel, _slaney_hz) if view.mel_scale == "slaney" else (_htk_mel, _htk_hz)
    bins_hz = np.linspace(0, _RATE_HZ / 2, view.n_fft // 2 + 1)
    edges_hz = to_hz(np.linspace(0, to_mel(_RATE_HZ / 2), _NUM_MELS + 2))[:, None]
    widths_hz = np.diff(edges_hz, axis=0)
    rising = (bins_hz - edges_hz[:-2]) / widths_hz[:-1]
    falling = (edges_hz[2:] - bins_hz) / widths_hz[1:]
    filters = np.maximum(0, np.minimum(rising, falling))
    if view.mel_scale == "slaney":
        filters *= 2 / (edges_hz[2:] - edges_hz[:-2])
    return csr_array(filters.astype(np.float32))


def _htk_mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _htk_hz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


def _slaney_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def _to_decibel(power: np.ndarray) -> np.ndarray:
    loudest = max(float(power.max()), _SMALLEST_POWER)
    decibel = 10.0 * np.log10(np.maximum(power, _SMALLEST_POWER) / loudest)
    floored: np.ndarray = np.maximum(decibel, -_TOP_DB, dtype=np.float32)
    return floored


def analyze(paths: list[str]) -> None:
    """Decode clips and compute both views."""
    for path in paths:
        waveform = frozen_waveform(path)
        for view in FROZEN_VIEWS.values():
            frozen_log_mel(waveform, view)


def main() -> None:
    """Time the loop on the paths that standard input lists."""
    paths = sys.stdin.read().splitlines()
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    cores = num_usable_cores()
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(analyze, chunks[: 2 * cores], chunksize=1)  # start every process
        started = time.perf_counter()
        pool.map(analyze, chunks, chunksize=1)
        print(time.perf_counter() - started)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # as Ray sets it in a one-core worker
    main()
