"""Files as crashed recorders, pipes, taggers and careless joins leave them."""

import io
import struct

import numpy as np
import pytest
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import Clip, UnreadableClipError, duration_s, load_clip
from tests.audio.encode import sound

CLIP = ClipConfig(sample_rate_hz=16_000, duration_s=8.0)
DURATION_S = 3.0
FILES = {
    "wav": ("WAV", "PCM_16"),
    "float wav": ("WAV", "FLOAT"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
ID3 = b"ID3\x03\0\0\0\0\x02\x2c" + bytes(300)


def make(name: str, duration_s: float = DURATION_S) -> bytes:
    file_format, subtype = FILES[name]
    buffer = io.BytesIO()
    soundfile.write(buffer, sound(16_000, duration_s), 16_000, format=file_format, subtype=subtype)
    return buffer.getvalue()


def load(content: bytes) -> Clip:
    return load_clip(io.BytesIO(content), CLIP)


def assert_whole(content: bytes, name: str) -> None:
    """Assert that a file gives the same as it does without its fault."""
    clip, expected = load(content), load(make(name))
    assert clip.duration_s == expected.duration_s == DURATION_S
    np.testing.assert_allclose(clip.waveform, expected.waveform, rtol=0, atol=1e-6)


def replace(content: bytes, marker: bytes, offset: int, new: bytes) -> bytes:
    position = content.index(marker) + offset
    return content[:position] + new + content[position + len(new) :]


@pytest.mark.parametrize("name", FILES)
def test_tags_before_the_audio_are_passed_over(name):
    assert_whole(ID3 + make(name), name)
    assert_whole(ID3 + ID3 + make(name), name)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_after_a_tag_is_still_refused(name):
    with pytest.raises(UnreadableClipError, match="truncated|corrupt|not readable"):
        load(ID3 + make(name)[:-9_000])


@pytest.mark.parametrize(
    "after",
    [bytes(3_000), b"junk" * 500, b"TAG" + bytes(125), b"APETAGEX" + bytes(100_000)],
    ids=["zeros", "junk", "ID3v1", "long tag"],
)
@pytest.mark.parametrize("name", [*FILES])
def test_what_follows_the_audio_is_passed_over(name, after):
    if name == "w64":
        pytest.skip("libsndfile reads it as audio")
    assert_whole(make(name) + after, name)


@pytest.mark.parametrize("name", FILES)
def test_joined_files_are_heard_to_the_end_or_refused_by_name(name):
    joined = make(name) + make(name)
    if name in ("flac", "ogg", "opus", "mp3"):
        assert load(joined).duration_s == pytest.approx(2 * DURATION_S, abs=0.2)
        assert duration_s(io.BytesIO(joined)) == load(joined).duration_s
        second = load(joined).waveform[int(3.2 * 16_000) : int(5.8 * 16_000)]
        assert np.sqrt(np.mean(second**2)) == pytest.approx(0.28, abs=0.03)
    else:
        with pytest.raises(UnreadableClipError, match=r"the header says \d+ .* \d+ more bytes"):
            load(joined)


def test_different_streams_in_a_chained_ogg_are_never_half_heard():
    with pytest.raises(UnreadableClipError, match="corrupt|changes within the file"):
        load(make("opus") + make("ogg"))


def test_a_length_in_an_mp3_of_less_than_its_header_is_no_position():
    shorter = replace(make("mp3"), b"Xing", 12, struct.pack(">I", 1))
    assert duration_s(io.BytesIO(shorter)) == pytest.approx(DURATION_S, abs=0.1)


def test_the_length_of_a_vbr_mp3_without_a_table_is_not_an_estimate():
    noise = 0.3 * np.random.default_rng(0).standard_normal(6 * 44_100).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.concatenate([noise, 0.05 * sound(44_100, 6.0)]),
        44_100,
        format="MP3",
        bitrate_mode="VARIABLE",
        compression_level=0.3,
    )
    content = replace(buffer.getvalue(), b"Xing", 0, bytes(120))
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert file.frames < 6 * 44_100  # the estimate of libsndfile
    assert duration_s(io.BytesIO(content)) == pytest.approx(12, abs=0.1)
    for start_s in (0.0, 7.0, 10.0):
        clip = load_clip(io.BytesIO(content), ClipConfig(duration_s=1.5), start_s)
        assert clip.duration_s == pytest.approx(12, abs=0.1)
        assert np.abs(clip.waveform).max() > 0.01


@pytest.mark.parametrize(
    ("name", "marker", "offset", "placeholders"),
    [
        ("wav", b"data", 4, [bytes(4), b"\xff" * 4, b"\0\xf0\xff\x7f"]),
        ("float wav", b"data", 4, [bytes(4), b"\xff" * 4]),
        ("aiff", b"SSND", 4, [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"]),
        ("au", b".snd", 8, [bytes(4), b"\xff" * 4]),
        ("w64", b"data\xf3", 16, [bytes(8), struct.pack("<Q", 24), b"\xff" * 8]),
        ("rf64", b"ds64", 8, [bytes(24), b"\xff" * 24]),
        ("caf", b"data", 4, [bytes(8), struct.pack(">Q", 4), b"\xff" * 8]),
    ],
)
def test_lengths_that_a_crashed_recorder_or_a_pipe_leaves_are_mended(
    name, marker, offset, placeholders
):
    for placeholder in placeholders:
        assert_whole(replace(make(name), marker, offset, placeholder), name)


def test_an_empty_wav_is_not_taken_for_one_of_a_crashed_recorder():
    empty = make("wav", duration_s=0.0)
    text = b"LIST" + struct.pack("<I", 40) + b"INFOICMT" + struct.pack("<I", 28) + b"x" * 28
    for content in (empty, empty + text, empty + bytes(5_000), empty + b"TAG" + bytes(125)):
        with pytest.raises(UnreadableClipError, match="no samples"):
            load(content)


@pytest.mark.parametrize(
    ("name", "marker", "offset", "length"),
    [
        ("wav", b"data", 4, struct.pack("<I", 8_000)),
        ("au", b".snd", 8, struct.pack(">I", 8_000)),
        ("caf", b"data", 4, struct.pack(">Q", 8_000)),
    ],
)
def test_a_length_that_hides_most_of_the_audio_is_refused(name, marker, offset, length):
    with pytest.raises(UnreadableClipError, match="the header says 8000 bytes of audio, but 8"):
        load(replace(make(name), marker, offset, length))


def test_a_flac_from_a_pipe_is_decoded_and_refused_if_truncated():
    whole = bytearray(make("flac"))
    whole[21] &= 0xF0  # 36 bits of the stream's header
    whole[22:26] = bytes(4)
    clip = load(bytes(whole))
    assert clip.duration_s == DURATION_S
    np.testing.assert_array_equal(clip.waveform, load(make("flac")).waveform)
    with pytest.raises(UnreadableClipError, match="truncated or corrupt"):
        load(bytes(whole[:-3_000]))


def test_a_header_with_endless_chunks_costs_no_time():
    endless = b"RIFF" + bytes(4) + b"WAVE" + (b"junk" + bytes(4)) * 200_000
    with pytest.raises(UnreadableClipError):
        load(endless)


def test_the_ending_of_a_name_does_not_matter(tmp_path):
    for name in FILES:
        path = tmp_path / f"{name}.m4a"
        path.write_bytes(make(name))
        with path.open("rb") as stream:
            assert load_clip(stream, CLIP).duration_s == DURATION_S
