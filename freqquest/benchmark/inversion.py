"""Benchmark of spectrogram inversion: how close the sound made from a spectrogram is to the clip.

Shapes: S samples, F FFT bins, M mel bands, T frames.
"""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torchaudio.transforms import GriffinLim, InverseMelScale

from freqquest.audio.decode import UnreadableClipError, is_audio, load_clip
from freqquest.audio.demo_clips import write_demo_clips
from freqquest.audio.invert import invert
from freqquest.audio.spectrogram import log_mel
from freqquest.benchmark.inversion_config import InversionBenchmark
from freqquest.benchmark.result import BenchmarkResult
from freqquest.benchmark.work_folder import work_folder
from freqquest.cgan.devices import threads
from freqquest.dataset.views import RECIPE_CLIP, RECIPE_VIEWS
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.storage import locate

_VIEW, _RATE_HZ = RECIPE_VIEWS["cgan"], RECIPE_CLIP.sample_rate_hz
_BASELINE = "torchaudio"

Inverter = Callable[[np.ndarray], np.ndarray]
"""Function from a log-mel spectrogram `[M, T]` to a waveform `[S]`."""


class ClipResult(TypedDict):
    """Errors and processor time of one clip's inversion."""

    label: str
    seconds: float
    spectral_convergence: float
    log_mel_error: float


class MethodResult(TypedDict):
    """Mean errors over all clips and median processor time of one method."""

    spectral_convergence: float
    log_mel_error: float
    seconds: float
    spectral_convergence_by_class: dict[str, float]


def benchmark_inversion(config: InversionBenchmark) -> str:
    """Measure each method, write the results, and return them as a table.

    Raises:
        UserError: The work folder is not empty, or the audio folder has no clips or unreadable
            ones.
    """
    # One thread, so that processor time does not depend on other programs.
    with work_folder(config.work_dir) as work, threads(1):
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = _draw_clips(Path(audio_dir), config.clips_per_class)
        runs = _run_in_turn(clips)
    methods = {method: _summarize(results) for method, results in runs.items()}
    return BenchmarkResult(
        name="inversion",
        settings={"clips_per_class": config.clips_per_class},
        about=f"{len(clips)} {'clips' if config.audio_dir else 'demo clips'}, "
        f"{config.clips_per_class} of each class, to log-mel and back, one at a time, methods "
        "interleaved, on one thread; mean errors (0 is the clip itself), median processor time",
        measurements={"methods": methods, "runs": runs},
        header=(
            "method",
            "spectral convergence",
            "log-mel error",
            "seconds per clip",
            "times torchaudio's time",
            "spectral convergence by class",
        ),
        rows=_rows(methods),
    ).write(locate(config.output))


def _draw_clips(audio_dir: Path, clips_per_class: int) -> list[tuple[str, np.ndarray]]:
    """Return classes and waveforms `[S]`."""
    if not audio_dir.is_dir():
        raise UserError(f"`audio_dir={audio_dir}` does not exist or is not a folder")
    drawn = []
    for folder in sorted(path for path in audio_dir.iterdir() if path.is_dir()):
        paths = sorted(path for path in folder.rglob("*") if is_audio(path.name))
        for path in random.Random(0).sample(paths, min(clips_per_class, len(paths))):
            try:
                with path.open("rb") as stream:
                    drawn.append((folder.name, load_clip(stream, RECIPE_CLIP).waveform))
            except UnreadableClipError as error:
                raise UserError(f"{path}: {error}") from error
    if not drawn:
        raise UserError(f"`audio_dir={audio_dir}` has no folders with clips")
    return drawn


def _run_in_turn(clips: list[tuple[str, np.ndarray]]) -> dict[str, list[ClipResult]]:
    """Return each method's result for each clip."""
    torch.manual_seed(0)  # torchaudio draws its random phases from torch's generator
    inverters = _inverters()
    for inverter in inverters.values():
        inverter(log_mel(clips[0][1], _VIEW, _RATE_HZ))  # do not time the setup of the first call
    runs: dict[str, list[ClipResult]] = {method: [] for method in inverters}
    with Progress("benchmark", len(clips), "clips") as progress:
        for label, clip in clips:
            spectrogram = log_mel(clip, _VIEW, _RATE_HZ)
            for method, inverter in inverters.items():
                started = time.process_time()
                waveform = inverter(spectrogram)
                seconds = time.process_time() - started
                convergence, log_mel_error = _errors(waveform, clip)
                runs[method].append(
                    {
                        "label": label,
                        "seconds": seconds,
                        "spectral_convergence": convergence,
                        "log_mel_error": log_mel_error,
                    }
                )
            progress.update(1)
    return runs


def _inverters() -> dict[str, Inverter]:
    """Return the methods that are compared."""
    return {
        _BASELINE: _torchaudio_inverter(),
        "recipe": lambda spectrogram: invert(  # the name in stored results
            spectrogram[None], _VIEW, _RATE_HZ, seeds=[0], method="reference"
        )[0],
        "default": lambda spectrogram: invert(spectrogram[None], _VIEW, _RATE_HZ, seeds=[0])[0],
    }


def _torchaudio_inverter() -> Inverter:
    """Return the published recipe's method, except for its solver `gels`.

    `gels` fails on these filters.
    """
    to_bins = InverseMelScale(_VIEW.n_fft // 2 + 1, _VIEW.num_mels, _RATE_HZ, driver="gelsd")
    to_sound = GriffinLim(_VIEW.n_fft, n_iter=32, hop_length=_VIEW.hop_length, momentum=0.99)

    def run(spectrogram: np.ndarray) -> np.ndarray:
        waveform: np.ndarray = to_sound(to_bins(torch.from_numpy(spectrogram).expm1())).numpy()
        return waveform

    return run


def _errors(waveform: np.ndarray, clip: np.ndarray) -> tuple[float, float]:
    """Return spectral convergence and log-mel error, as shares of the clip's norm.

    Source: spectral convergence as in Sturmel and Daudet, "Signal reconstruction from STFT
    magnitude", 2011.
    """
    return (
        _relative_error(_magnitudes(waveform), _magnitudes(clip)),
        _relative_error(log_mel(waveform, _VIEW, _RATE_HZ), log_mel(clip, _VIEW, _RATE_HZ)),
    )


def _relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / max(float(np.linalg.norm(wanted)), 1e-12))


def _magnitudes(waveform: np.ndarray) -> np.ndarray:
    """Return STFT magnitudes `[F, T]`, padded with silence after the end of the clip."""
    window = torch.hann_window(_VIEW.n_fft)
    spectrum = torch.stft(
        torch.from_numpy(waveform),
        _VIEW.n_fft,
        _VIEW.hop_length,
        window=window,
        return_complex=True,
    )
    magnitudes = spectrum.abs().numpy()[:, : _VIEW.num_frames]
    return np.pad(magnitudes, ((0, 0), (0, _VIEW.num_frames - magnitudes.shape[1])))


def _summarize(results: list[ClipResult]) -> MethodResult:
    convergence_by_class = {
        label: statistics.mean(
            result["spectral_convergence"] for result in results if result["label"] == label
        )
        for label in sorted({result["label"] for result in results})
    }
    return {
        "spectral_convergence": statistics.mean(
            result["spectral_convergence"] for result in results
        ),
        "log_mel_error": statistics.mean(result["log_mel_error"] for result in results),
        "seconds": statistics.median(result["seconds"] for result in results),
        "spectral_convergence_by_class": convergence_by_class,
    }


def _rows(methods: dict[str, MethodResult]) -> list[tuple[str, ...]]:
    names = {
        _BASELINE: "torchaudio: InverseMelScale (gelsd), Griffin-Lim (momentum 0.99, 32 "
        "iterations)",
        "recipe": "freqquest, method `reference`: the same with the pseudo-inverse",
        "default": "freqquest, method `default`",
    }
    return [
        (
            names[method],
            f"{result['spectral_convergence']:.3f}",
            f"{result['log_mel_error']:.3f}",
            f"{result['seconds']:.2f}",
            f"{result['seconds'] / methods[_BASELINE]['seconds']:.1f}",
            ", ".join(
                f"{label} {value:.3f}"
                for label, value in result["spectral_convergence_by_class"].items()
            ),
        )
        for method, result in methods.items()
    ]
