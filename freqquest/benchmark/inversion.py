"""Turn the spectrograms of clips back into sound, in each way, and compare it with the clips.

Shapes: S samples, F FFT bins, M mel bands, T frames.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchaudio.transforms import GriffinLim, InverseMelScale

from freqquest.audio.decode import UnreadableClipError, is_audio, load_clip
from freqquest.audio.demo_clips import write_demo_clips
from freqquest.audio.invert import invert
from freqquest.audio.spectrogram import log_mel
from freqquest.benchmark.config import InversionBenchmark
from freqquest.benchmark.report import Report
from freqquest.benchmark.work import work_folder
from freqquest.dataset.config import CLIP, VIEWS
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.storage import locate

_VIEW, _RATE_HZ = VIEWS["cgan"], CLIP.sample_rate_hz
_BASELINE = "torchaudio"


def benchmark_inversion(config: InversionBenchmark) -> str:
    """Measure, write the figures as JSON and as a table, and return the table.

    Raises:
        UserError: The work folder holds something, or the audio folder has no clips or unreadable ones.
    """
    with work_folder(config.work_dir) as work, _one_thread():
        audio_dir = config.audio_dir or str(write_demo_clips(work / "demo").train_dir)
        clips = _draw_clips(Path(audio_dir), config.clips_per_class)
        runs = _run_in_turn(clips)
    means = {method: _means(results) for method, results in runs.items()}
    return Report(
        command="inversion",
        settings={"clips_per_class": config.clips_per_class},
        about=f"{len(clips)} {'clips' if config.audio_dir else 'demo clips'}, {config.clips_per_class} of each class, "
        "to log-mel and back, one at a time and each way in turn, on one thread; means of the errors (0 is the clip "
        "itself), median of the processor time",
        figures={"methods": means, "runs": runs},
        header=(
            "what",
            "spectral convergence",
            "log-mel error",
            "s a clip",
            "times the time",
            "by class",
        ),
        rows=_rows(means),
    ).write(locate(config.output))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread, whose processor time does not depend on what else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _draw_clips(audio_dir: Path, clips_per_class: int) -> list[tuple[str, np.ndarray]]:
    """Classes and waveforms `[S]`."""
    if not audio_dir.is_dir():
        raise UserError(f"--audio-dir {audio_dir} does not exist or is not a folder")
    drawn = []
    for folder in sorted(path for path in audio_dir.iterdir() if path.is_dir()):
        paths = sorted(path for path in folder.rglob("*") if is_audio(path.name))
        for path in random.Random(0).sample(paths, min(clips_per_class, len(paths))):
            try:
                with path.open("rb") as stream:
                    drawn.append((folder.name, load_clip(stream, CLIP).waveform))
            except UnreadableClipError as error:
                raise UserError(f"{path}: {error}") from error
    if not drawn:
        raise UserError(f"--audio-dir {audio_dir} has no folders with clips")
    return drawn


def _run_in_turn(clips: list[tuple[str, np.ndarray]]) -> dict[str, list[dict[str, Any]]]:
    """Of each method, what became of each clip."""
    torch.manual_seed(0)  # torchaudio takes its random phases from there
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        _BASELINE: _torchaudio_inverter(),
        "recipe": lambda spectrogram: invert(
            spectrogram[None], _VIEW, _RATE_HZ, seeds=[0], method="recipe"
        )[0],
        "default": lambda spectrogram: invert(spectrogram[None], _VIEW, _RATE_HZ, seeds=[0])[0],
    }
    for run in methods.values():
        run(log_mel(clips[0][1], _VIEW, _RATE_HZ))  # what is built once is not timed
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
    with Progress("benchmark", len(clips), "clips") as progress:
        for label, clip in clips:
            spectrogram = log_mel(clip, _VIEW, _RATE_HZ)
            for name, run in methods.items():
                started = time.process_time()
                waveform = run(spectrogram)
                seconds = time.process_time() - started
                runs[name].append({"label": label, "seconds": seconds} | _errors(waveform, clip))
            progress.update(1)
    return runs


def _torchaudio_inverter() -> Callable[[np.ndarray], np.ndarray]:
    """The published recipe, but for the solver `gels`, which fails on these filters."""
    to_bins = InverseMelScale(_VIEW.n_fft // 2 + 1, _VIEW.num_mels, _RATE_HZ, driver="gelsd")
    to_sound = GriffinLim(_VIEW.n_fft, n_iter=32, hop_length=_VIEW.hop_length, momentum=0.99)

    def run(spectrogram: np.ndarray) -> np.ndarray:
        waveform: np.ndarray = to_sound(to_bins(torch.from_numpy(spectrogram).expm1())).numpy()
        return waveform

    return run


def _errors(waveform: np.ndarray, clip: np.ndarray) -> dict[str, float]:
    """How far a waveform's spectrum and log-mel spectrogram are from the clip's, as shares of the clip's norm.

    Source: spectral convergence as in Sturmel and Daudet, "Signal reconstruction from STFT magnitude", 2011.
    """
    spectra = _magnitudes(waveform), _magnitudes(clip)
    log_mels = log_mel(waveform, _VIEW, _RATE_HZ), log_mel(clip, _VIEW, _RATE_HZ)
    return {
        name: float(np.linalg.norm(found - wanted) / max(float(np.linalg.norm(wanted)), 1e-12))
        for name, (found, wanted) in {
            "spectral_convergence": spectra,
            "log_mel_error": log_mels,
        }.items()
    }


def _magnitudes(waveform: np.ndarray) -> np.ndarray:
    """STFT magnitudes `[F, T]`, with silence where the clip has ended."""
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


def _means(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean errors of all clips, spectral convergence of each class, and the median of the seconds."""
    by_class = {
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
        "spectral_convergence_by_class": by_class,
    }


def _rows(means: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """The table's rows."""
    names = {
        _BASELINE: "torchaudio: InverseMelScale (gelsd), Griffin-Lim (momentum 0.99, 32 iterations)",
        "recipe": "freqquest, method `recipe`: the same with the pseudo-inverse",
        "default": "freqquest, method `default`",
    }
    return [
        (
            names[method],
            f"{figures['spectral_convergence']:.3f}",
            f"{figures['log_mel_error']:.3f}",
            f"{figures['seconds']:.2f}",
            f"{figures['seconds'] / means[_BASELINE]['seconds']:.1f}",
            ", ".join(
                f"{label} {value:.3f}"
                for label, value in figures["spectral_convergence_by_class"].items()
            ),
        )
        for method, figures in means.items()
    ]
