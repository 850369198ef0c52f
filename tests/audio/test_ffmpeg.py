import builtins
import io

import av
import numpy as np
import pytest
import soundfile
import soxr

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import (
    AUDIO_SUFFIXES,
    UnreadableClipError,
    duration_s,
    levels,
    load_clip,
)
from freqquest.audio.ffmpeg import FFmpegReader
from freqquest.audio.ffmpeg_codecs import may_start_within
from tests.audio.encode import DELAYED_S, FORMATS, INEXACT, encode, encode_as, sound

CLIP = ClipConfig()
M4A = b"\0\0\0\x20ftypM4A " + b"\0" * 500
FORMAT_NAMES = pytest.mark.parametrize("name", FORMATS)


@FORMAT_NAMES
def test_every_format_of_ffmpeg_is_decoded(name):
    rate = FORMATS[name][2]
    original = sound(rate, 1.5)
    clip = load_clip(io.BytesIO(encode(name, original)), CLIP)
    assert clip.sample_rate_hz == rate
    assert (clip.waveform.shape, clip.waveform.dtype) == ((88_200,), np.float32)
    assert clip.duration_s == pytest.approx(1.5, abs=DELAYED_S.get(name, 0.0) + 1e-9)
    assert clip.warning == ""
    expected = soxr.resample(original, rate, 22_050, quality="HQ")
    # Where a file does not tell its encoder's delay, the sound begins later.
    match = np.correlate(clip.waveform[:36_000], expected[8_000:24_000], "valid")
    delay = int(match.argmax()) - 8_000
    assert abs(delay) <= max(2, DELAYED_S.get(name, 0) * 22_050)
    heard = clip.waveform[8_000 + delay : 24_000 + delay]
    gain = heard @ expected[8_000:24_000] / (expected[8_000:24_000] @ expected[8_000:24_000])
    assert gain == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("file_format", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 0),
        ("WAV", "PCM_16", 0),
        ("WAV", "PCM_24", 0),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("FLAC", "PCM_24", 0),
        ("AIFF", "PCM_16", 0),
        ("CAF", "PCM_16", 0),
        ("OGG", "VORBIS", 1e-5),
        ("OGG", "OPUS", 1e-5),
        ("MP3", "MPEG_LAYER_III", 1e-5),
    ],
)
def test_both_decoders_give_the_same_samples(file_format, subtype, tolerance):
    buffer = io.BytesIO()
    stereo = np.stack([sound(48_000, 1.0), sound(48_000, 1.0)[::-1]], axis=1)
    soundfile.write(buffer, stereo, 48_000, format=file_format, subtype=subtype)
    expected, _ = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")
    with FFmpegReader(io.BytesIO(buffer.getvalue())) as reader:
        samples = reader.read(0, 100_000)
        assert reader.num_frames() == samples.shape[0]
    # FFmpeg drops the last 128 samples of Vorbis.
    assert samples.shape[0] == expected.shape[0] - (128 if subtype == "VORBIS" else 0)
    np.testing.assert_allclose(samples, expected[: len(samples)], rtol=0, atol=tolerance)


@FORMAT_NAMES
def test_a_part_of_a_file_equals_the_same_part_of_the_whole(name):
    rate = FORMATS[name][2]
    content = encode(name, sound(rate, 9.0))
    at_rate = ClipConfig(sample_rate_hz=rate, duration_s=20.0)
    whole = load_clip(io.BytesIO(content), at_rate).waveform
    for config in (ClipConfig(sample_rate_hz=rate, duration_s=1.0), ClipConfig(duration_s=1.0)):
        new_rate = config.sample_rate_hz
        expected = whole if new_rate == rate else soxr.resample(whole, rate, new_rate, quality="HQ")
        for start_s in (0.0, 0.0314, 3.33333, 7.5):
            clip = load_clip(io.BytesIO(content), config, start_s)
            first = round(start_s * new_rate)
            np.testing.assert_allclose(
                clip.waveform,
                expected[first : first + new_rate],
                rtol=0,
                atol=INEXACT.get(name, 2e-6),
            )


@pytest.mark.parametrize(
    ("codec", "profile", "expected"),
    [
        ("aac", "LC", True),
        ("aac", "HE-AAC", True),
        ("aac", "LTP", False),
        ("aac", "xHE-AAC", False),
        ("mp3float", None, True),
        ("amrnb", None, False),
        ("wmav2", None, False),
    ],
)
def test_decoders_that_remember_start_at_the_beginning(codec, profile, expected):
    assert may_start_within(codec, profile) == expected


def test_noise_that_a_decoder_fills_in_is_as_loud_in_a_part_as_in_the_whole():
    noise = (0.1 * np.random.default_rng(0).standard_normal(9 * 44_100)).astype(np.float32)
    content = encode_as("ipod", "aac", 44_100, noise, bit_rate=48_000)
    whole = load_clip(io.BytesIO(content), ClipConfig(sample_rate_hz=44_100, duration_s=9.0))
    config = ClipConfig(sample_rate_hz=44_100, duration_s=1.0)
    part = load_clip(io.BytesIO(content), config, 7.0)
    expected = whole.waveform[7 * 44_100 : 8 * 44_100]
    assert part.waveform.std() == pytest.approx(expected.std(), rel=0.01)
    assert 0.01 < (part.waveform - expected).std() / expected.std() < 0.4


@FORMAT_NAMES
def test_the_length_is_the_same_however_much_is_decoded(name):
    content = encode(name, sound(FORMATS[name][2], 5.0))
    lengths = {
        duration_s(io.BytesIO(content)),
        *(
            load_clip(io.BytesIO(content), ClipConfig(duration_s=each)).duration_s
            for each in (0.1, 3.0, 9.0)
        ),
    }
    assert len(lengths) == 1
    assert lengths.pop() == pytest.approx(5, abs=DELAYED_S.get(name, 0) + 1e-9)


@FORMAT_NAMES
def test_truncated_files_are_refused(name):
    if name in ("bare mp3", "mp2", "ac3", "flv"):
        pytest.skip("nothing in such a file says how long it is")
    whole = encode(name, sound(FORMATS[name][2], 6.0))
    for part in (0.97, 0.7, 0.1):
        with pytest.raises(UnreadableClipError, match="truncated|corrupt|not readable|no samples"):
            load_clip(io.BytesIO(whole[: int(part * len(whole))]), CLIP)


def test_an_m4a_that_promises_more_than_it_holds_is_refused():
    content = encode_as(
        "ipod", "aac", 44_100, sound(44_100, 6.0), container_options={"moov_size": "20000"}
    )
    assert content.index(b"moov") < content.index(b"mdat")
    with pytest.raises(UnreadableClipError, match="truncated"):
        load_clip(io.BytesIO(content[:-2_000]), CLIP)


def test_a_webm_as_browsers_record_it_has_its_true_length():
    content = encode_as(
        "webm", "libopus", 48_000, sound(48_000, 6.0), container_options={"live": "1"}
    )
    assert duration_s(io.BytesIO(content)) == pytest.approx(6.0, abs=0.02)
    assert load_clip(io.BytesIO(content), CLIP).duration_s == duration_s(io.BytesIO(content))


def test_the_first_sound_track_of_a_video_is_decoded_and_a_silent_video_refused():
    def video(*, with_sound: bool) -> io.BytesIO:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as output:
            pictures = output.add_stream("mpeg4", rate=10)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            tracks = [output.add_stream("aac", rate=44_100, layout="mono")] if with_sound else []
            for _ in range(20):
                picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
                output.mux(pictures.encode(picture))
            output.mux(pictures.encode(None))
            for track in tracks:
                for start in range(0, 88_200 - 1_024, 1_024):
                    block = sound(44_100, 2.0)[None, start : start + 1_024]
                    frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                    frame.rate, frame.pts = 44_100, start
                    output.mux(track.encode(frame))
                output.mux(track.encode(None))
        buffer.seek(0)
        return buffer

    assert load_clip(video(with_sound=True), CLIP).duration_s == pytest.approx(2.0, abs=0.05)
    with pytest.raises(UnreadableClipError, match="no audio stream"):
        load_clip(video(with_sound=False), CLIP)


def test_a_format_that_changes_within_a_file_is_refused():
    joined = encode("aac", sound(44_100, 1.0)) + encode_as(
        "adts", "aac", 22_050, sound(22_050, 1.0)
    )
    with pytest.raises(UnreadableClipError, match="changes within the file, from .*44100.*22050"):
        load_clip(io.BytesIO(joined), CLIP)


@pytest.mark.parametrize(
    "content",
    [b"", b"just text\n" * 50, b"\0" * 5_000, b"\x89PNG\r\n\x1a\n" + b"\0" * 100],
    ids=["empty", "text", "zeros", "picture"],
)
def test_what_is_no_audio_is_refused(content):
    with pytest.raises(
        UnreadableClipError, match="not readable as audio|no audio stream|no stream"
    ):
        load_clip(io.BytesIO(content), CLIP)


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {path}\n",
        "ffconcat version 1.0\nfile a.wav\n",
    ],
)
def test_a_playlist_does_not_open_other_files(playlist, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", sound(8_000, 1.0), 8_000)
    monkeypatch.chdir(tmp_path)
    content = playlist.format(path=tmp_path / "a.wav").encode()
    with pytest.raises(UnreadableClipError):
        load_clip(io.BytesIO(content), CLIP)


def test_without_the_package_av_its_formats_are_refused_by_its_name(monkeypatch):
    import_module = builtins.__import__

    def import_without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return import_module(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_without_av)
    wav = io.BytesIO()
    soundfile.write(wav, sound(8_000, 1.0), 8_000, format="WAV")
    wav.seek(0)
    assert load_clip(wav, CLIP).duration_s == 1.0
    with pytest.raises(UnreadableClipError, match="package `av`: pip install av"):
        load_clip(io.BytesIO(M4A), CLIP)


def test_levels_of_a_format_of_ffmpeg_are_those_of_its_samples():
    content = encode("m4a", sound(44_100, 3.05))
    whole = load_clip(io.BytesIO(content), ClipConfig(sample_rate_hz=44_100, duration_s=4.0))
    expected = [
        np.mean(whole.waveform[start : min(start + 22_050, 134_505)].astype(float) ** 2)
        for start in range(0, 134_505, 22_050)
    ]
    np.testing.assert_allclose(levels(io.BytesIO(content), 0.5), expected, rtol=1e-5)


def test_any_corruption_gives_a_clip_or_a_reason():
    files = [encode(name, sound(FORMATS[name][2], 0.5)) for name in FORMATS]
    rng = np.random.default_rng(0)
    num_refused = 0
    for trial in range(200):
        content = bytearray(files[trial % len(files)])
        for position in rng.integers(rng.choice([100, len(content)]), size=rng.integers(1, 5)):
            content[position : position + 1 + rng.integers(8)] = rng.bytes(4)
        content = content[: rng.choice([len(content), rng.integers(len(content))])]
        try:
            clip = load_clip(io.BytesIO(bytes(content)), CLIP)
        except UnreadableClipError:
            num_refused += 1
        else:
            assert np.isfinite(clip.waveform).all()
    assert 50 < num_refused < 200


def test_the_endings_are_lower_case_and_unique():
    assert len({*AUDIO_SUFFIXES}) == len(AUDIO_SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)
    assert {".m4a", ".webm", ".wma", ".3gp", ".wave", ".w64"} <= {*AUDIO_SUFFIXES}
