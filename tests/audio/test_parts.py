"""Several parts of a file, loaded by one pass over it."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import (
    UnreadableClipError,
    duration_s,
    load_clip,
    load_clips,
    load_waveforms,
)
from freqquest.audio.ffmpeg import FFmpegReader
from freqquest.audio.libsndfile import LibsndfileReader
from tests.audio.encode import FORMATS, INEXACT, encode, encode_as, sound

RATE_HZ = 8_000
PARTS = [(0.0, None), (0.25, 0.5), (0.25, None), (1.0, None), (2.7, 2.9), (7.31, None), (8.5, 8.9)]
"""Parts that overlap, follow each other, and skip seconds."""

LIBSNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "float wav": ("WAV", "FLOAT"),
    "gsm wav": ("WAV", "GSM610"),
    "aiff": ("AIFF", "PCM_24"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "ogg opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def written(samples: np.ndarray, rate: int, file_format: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=file_format, subtype=subtype)
    return buffer.getvalue()


def file_of(name: str, seconds: float) -> tuple[int, bytes]:
    """Return the sample rate and the content of a file in one of the formats."""
    rate = FORMATS[name][2] if name in FORMATS else 48_000
    samples = sound(rate, seconds)
    if name in FORMATS:
        return rate, encode(name, samples)
    return rate, written(samples, rate, *LIBSNDFILE[name])


@pytest.mark.parametrize("name", [*LIBSNDFILE, *FORMATS])
def test_parts_that_are_loaded_together_equal_those_that_are_loaded_alone(name):
    rate, content = file_of(name, 9.0)
    for new_rate in (rate, 22_050):
        config = ClipConfig(sample_rate_hz=new_rate, duration_s=1.0)
        together = load_clips(io.BytesIO(content), config, PARTS)
        assert len(together) == len(PARTS)
        for (start_s, end_s), clip in zip(PARTS, together, strict=True):
            alone = load_clip(io.BytesIO(content), config, start_s, end_s)
            np.testing.assert_allclose(
                clip.waveform, alone.waveform, rtol=0, atol=INEXACT.get(name, 2e-6)
            )
            assert clip.duration_s == alone.duration_s == duration_s(io.BytesIO(content))
            assert (clip.sample_rate_hz, clip.warning) == (rate, alone.warning)


@pytest.mark.parametrize("name", ["wav", "float wav", "aiff", "flac", "avi", "wma", "amr", "tta"])
def test_formats_without_a_memory_or_decoded_from_the_start_give_the_same_bits(name):
    _, content = file_of(name, 9.0)
    config, parts = ClipConfig(duration_s=1.0), [*PARTS, (8.6, None)]
    for part, clip in zip(parts, load_clips(io.BytesIO(content), config, parts), strict=True):
        assert np.array_equal(clip.waveform, load_clip(io.BytesIO(content), config, *part).waveform)


@pytest.mark.parametrize("name", ["flac", "mp3", "m4a", "wma"])
@pytest.mark.parametrize("hop_s", [0.4, 1.0, 3.5])
def test_waveforms_come_one_by_one_and_equal_the_clips(name, hop_s):
    _, content = file_of(name, 9.0)
    config, starts = ClipConfig(duration_s=1.0), np.arange(0, 8.9, hop_s).tolist()
    clips = load_clips(io.BytesIO(content), config, [(start, None) for start in starts])
    waveforms = load_waveforms(io.BytesIO(content), config, starts)
    for clip, waveform in zip(clips, waveforms, strict=True):
        assert np.array_equal(clip.waveform, waveform)


@pytest.mark.parametrize("name", ["m4a", "aac", "mka", "ac3", "mp2", "wma", "amr", "webm"])
def test_every_packet_is_decoded_once_at_most(name, monkeypatch):
    _, content = file_of(name, 20.0)
    num_decoded = []
    decode = FFmpegReader._decode

    def count(reader, packet):
        num_decoded[-1] += 1
        return decode(reader, packet)

    monkeypatch.setattr(FFmpegReader, "_decode", count)
    for hop_s in (20.0, 0.5):
        num_decoded.append(0)
        starts = np.arange(0, 20, hop_s).tolist()
        for _ in load_waveforms(io.BytesIO(content), ClipConfig(duration_s=20.0), starts):
            pass
    assert num_decoded[1] == num_decoded[0]


@pytest.mark.parametrize("name", ["m4a", "aac", "mka", "ac3", "mp2", "webm", "bare mp3"])
def test_packets_that_the_decoder_forgets_are_not_decoded(name, monkeypatch):
    _, content = file_of(name, 40.0)
    seconds_decoded = 0.0
    join = FFmpegReader._join

    def count(reader, frames):
        nonlocal seconds_decoded
        seconds_decoded += sum(frame.samples / frame.sample_rate for frame in frames)
        return join(reader, frames)

    monkeypatch.setattr(FFmpegReader, "_join", count)
    load_clips(io.BytesIO(content), ClipConfig(duration_s=1.0), [(18.0, None), (30.0, None)])
    assert 6 < seconds_decoded < 8


def zeros_as(container: str, codec: str | None) -> bytes:
    """Return two minutes of silence at 8 kHz: 3.8 MB as float32."""
    zeros = np.zeros(120 * RATE_HZ, np.float32)
    if codec is None:
        return written(zeros, RATE_HZ, container, "PCM_16")
    return encode_as(container, codec, RATE_HZ, zeros)


@pytest.mark.parametrize("hop_s", [0.5, 1.0, 30.0])
@pytest.mark.parametrize(
    ("container", "codec"),
    [("WAV", None), ("FLAC", None), ("ipod", "aac")],
)
def test_memory_is_bounded_by_a_window(container, codec, hop_s):
    stream = io.BytesIO(zeros_as(container, codec))
    config = ClipConfig(sample_rate_hz=RATE_HZ, duration_s=1.0)
    tracemalloc.start()
    for waveform in load_waveforms(stream, config, np.arange(0, 119, hop_s).tolist()):
        assert not np.abs(waveform).max() > 0.001
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000  # a window has 32 kB


def test_a_part_that_starts_late_costs_the_memory_of_a_window():
    stream = io.BytesIO(encode_as("wav", "g722", 16_000, np.zeros(120 * 16_000, np.float32)))
    tracemalloc.start()
    load_clip(stream, ClipConfig(sample_rate_hz=16_000, duration_s=1.0), 118.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_500_000  # all of it has 7.7 MB, and the file, which is read at once, 1 MB


def test_joined_flac_files_are_loaded_to_the_end_of_the_last():
    first, second = sound(RATE_HZ, 2.5), -sound(RATE_HZ, 2.5)
    content = b"".join(written(each, RATE_HZ, "FLAC", "PCM_16") for each in (first, second))
    whole = load_clip(io.BytesIO(content), ClipConfig(sample_rate_hz=RATE_HZ, duration_s=8.0))
    assert whole.duration_s > 4
    config, starts = ClipConfig(sample_rate_hz=RATE_HZ, duration_s=1.0), [0.0, 1.0, 2.0, 3.0, 4.0]
    clips = load_clips(io.BytesIO(content), config, [(start, None) for start in starts])
    waveforms = load_waveforms(io.BytesIO(content), config, starts)
    for start_s, clip, waveform in zip(starts, clips, waveforms, strict=True):
        expected = whole.waveform[round(start_s * RATE_HZ) :][:RATE_HZ]
        assert np.array_equal(clip.waveform, expected)
        assert np.array_equal(waveform, expected)
        assert clip.duration_s == whole.duration_s


def test_long_packets_before_a_part_are_not_passed_over_too_far():
    content = written(sound(RATE_HZ, 60.0), RATE_HZ, "FLAC", "PCM_16")  # half a second each
    long_packets = encode("tta", sound(44_100, 20.0))  # a second each
    for file, rate in ((content, RATE_HZ), (long_packets, 44_100)):
        with FFmpegReader(io.BytesIO(file)) as reader:
            whole = reader.read(0, 60 * rate)
        for start_s in np.arange(3.0, 8.0, 0.35):
            start = round(start_s * rate)
            with FFmpegReader(io.BytesIO(file)) as reader:
                assert np.array_equal(reader.read(start, rate), whole[start : start + rate])
                later = start + 6 * rate
                assert np.array_equal(reader.read(later, rate), whole[later : later + rate])


def test_an_unreadable_part_comes_after_the_readable_ones():
    samples = sound(RATE_HZ, 4.0)
    samples[2 * RATE_HZ + 5] = np.nan
    content = written(samples, RATE_HZ, "WAV", "FLOAT")
    config = ClipConfig(sample_rate_hz=RATE_HZ, duration_s=1.0)
    waveforms = load_waveforms(io.BytesIO(content), config, [0.0, 1.0, 2.0, 3.0])
    assert np.array_equal(next(waveforms), samples[:RATE_HZ])
    assert np.array_equal(next(waveforms), samples[RATE_HZ : 2 * RATE_HZ])
    with pytest.raises(UnreadableClipError, match="NaN"):
        next(waveforms)


@pytest.mark.parametrize("name", ["flac", "m4a", "caf"])
def test_a_truncated_file_is_refused_after_its_last_part_at_the_latest(name):
    _, content = file_of(name, 9.0)
    stream = io.BytesIO(content[: int(0.9 * len(content))])
    with pytest.raises(UnreadableClipError, match="truncated|corrupt|not readable"):
        list(load_waveforms(stream, ClipConfig(duration_s=1.0), [0.0, 1.0]))


def test_a_part_after_the_end_is_refused_with_both_times():
    for name in ("flac", "m4a"):
        _, content = file_of(name, 4.5)
        with pytest.raises(UnreadableClipError, match=r"starts at 6 s, but the file ends at 4\.5"):
            load_clips(io.BytesIO(content), ClipConfig(), [(1.0, None), (4.0, None), (6.0, None)])


def test_parts_that_do_not_ascend_are_refused():
    content = io.BytesIO(file_of("wav", 1.0)[1])
    with pytest.raises(ValueError, match=r"`start_s=0.5` must be 0.7 or more.*: sort the clips"):
        load_clips(content, ClipConfig(), [(0.7, None), (0.5, None)])
    with pytest.raises(ValueError, match=r"`start_s=0.5` must be 0.7 or more"):
        next(load_waveforms(content, ClipConfig(), [0.7, 0.5]))


def test_libsndfile_seeks_only_over_more_than_its_preroll(monkeypatch):
    _, content = file_of("mp3", 30.0)
    seeks = []
    go_near = LibsndfileReader._go_near

    def record(reader, start):
        end = reader._end
        first = go_near(reader, start)
        seeks.append((end, first))
        return first

    monkeypatch.setattr(LibsndfileReader, "_go_near", record)
    parts = [(start, None) for start in (0.0, 2.0, 20.0)]
    load_clips(io.BytesIO(content), ClipConfig(duration_s=1.0), parts)
    (_, first), (end, second), (_, third) = seeks
    assert (first, second) == (0, end)
    assert third == pytest.approx(18 * 48_000, abs=0.1 * 48_000)
