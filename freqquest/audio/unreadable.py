"""Refusals of audio files, with the same text from every decoder."""

from freqquest.audio.clip import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ

MAX_CHANNELS = 32
"""Limit on channels: more than a microphone array has.

Together with the highest sample rate, it limits a clip to about 400 MB of memory.
"""


class UnreadableClipError(Exception):
    """An audio file that cannot be used. The text is the reason in quarantine.csv."""


def check_format(sample_rate_hz: int, num_channels: int) -> None:
    """Refuse impossible sample rates and numbers of channels."""
    if not MIN_SAMPLE_RATE_HZ <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise UnreadableClipError(
            f"sample rate {sample_rate_hz} Hz is not between 1 kHz and 768 kHz"
        )
    if num_channels > MAX_CHANNELS:
        raise UnreadableClipError(f"{num_channels} channels; the limit is {MAX_CHANNELS}")


def truncated(expected: int, actual: int) -> UnreadableClipError:
    """Return the error for a file with fewer bytes of audio than its header promises."""
    return UnreadableClipError(
        f"truncated: {actual} bytes of audio, but the header says {expected}"
    )
