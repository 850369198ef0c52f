"""Parts of an open audio file, read once from start to end, as waveforms of one length. NumPy.

Shapes: S samples, C channels.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from freqquest.audio.clip import ClipConfig
from freqquest.audio.ffmpeg import FFmpegReader
from freqquest.audio.libsndfile import LibsndfileReader
from freqquest.audio.unreadable import UnreadableClipError
from freqquest.audio.waveform import RESAMPLING_MARGIN_S, fit_length, mix, oddity, resample

Part = tuple[float, float | None]
"""Start of a clip in its file, and end of the audio to use, in seconds; None for the file's end."""

Reader = LibsndfileReader | FFmpegReader


def require_possible(parts: Sequence[Part]) -> None:
    """Refuse times that are none, and starts that do not ascend."""
    earlier_s = 0.0
    for start_s, end_s in parts:
        if not 0 <= start_s < math.inf:
            raise ValueError(f"`start_s={start_s}` must be 0 or more")
        if end_s is not None and not end_s > start_s:
            raise ValueError(f"`end_s={end_s}` must be above `start_s={start_s}`")
        if start_s < earlier_s:
            raise ValueError(
                f"`start_s={start_s}` must be {earlier_s} or more, as in the clip before it: sort "
                "the clips"
            )
        earlier_s = start_s


def load_parts(
    reader: Reader, config: ClipConfig, parts: Sequence[Part]
) -> Iterator[tuple[np.ndarray, str]]:
    """Yield the waveform `[S]` of each part, and a warning of its oddity or an empty text.

    The parts are in ascending order of their starts. Two that overlap share what is decoded: no
    more than one of them is in memory.

    Raises:
        UnreadableClipError: The next part is unreadable.
    """
    rate, new_rate = reader.sample_rate_hz, config.sample_rate_hz
    spans = [_span(part, rate, config) for part in parts]
    for (start_s, end_s), span, samples in zip(parts, spans, _read(reader, spans), strict=True):
        if samples.shape[0] < max(1, len(span)):
            num_frames = count_frames(reader)
            if start_s * rate >= num_frames or samples.shape[0] == 0:
                raise UnreadableClipError(
                    f"the clip starts at {start_s:g} s, but the file ends at "
                    f"{num_frames / rate:g} s"
                )
        mono = mix(samples)
        waveform = mono if rate == new_rate else resample(mono, rate, config)
        skipped = round(start_s * new_rate) - span.start * new_rate // rate
        num_kept = config.num_samples
        if end_s is not None:
            num_kept = min(num_kept, round((end_s - start_s) * new_rate))
        waveform = fit_length(waveform[skipped : skipped + num_kept], config.num_samples)
        yield waveform, oddity(samples, mono)


def count_frames(reader: Reader) -> int:
    """Return the exact length of a file, whose end is checked. Afterwards, nothing can be read.

    Raises:
        UnreadableClipError: The file is empty, truncated or corrupt.
    """
    num_frames = reader.num_frames()
    if num_frames == 0:
        raise UnreadableClipError("no samples: the file has only a header")
    return num_frames


def _span(part: Part, rate: int, config: ClipConfig) -> range:
    """Return the frames of a file that a clip needs, with the resampler's margins."""
    start_s, new_rate = part[0], config.sample_rate_hz
    stop_s = min(start_s + config.duration_s, part[1] or math.inf)
    margin_s = 0.0 if rate == new_rate else RESAMPLING_MARGIN_S
    # Both grids of samples meet every `period` frames of the file.
    period = rate // math.gcd(rate, new_rate)
    first = max(0, round((start_s - margin_s) * rate)) // period * period
    if rate == new_rate:
        return range(first, first + round((stop_s - start_s) * rate))
    return range(first, int((stop_s + margin_s) * rate) + 1)


def _read(reader: Reader, spans: Iterable[range]) -> Iterator[np.ndarray]:
    """Yield the frames `[S, C]` of each span; what the next one shares with it is kept."""
    kept, first = np.zeros((0, 1), np.float32), 0
    for span in spans:
        kept, first = kept[span.start - first :], span.start
        num_missing = len(span) - kept.shape[0]
        if num_missing > 0:
            read = reader.read(first + kept.shape[0], num_missing)
            kept = np.concatenate([kept, read]) if kept.shape[0] else read
        yield kept[: len(span)]
