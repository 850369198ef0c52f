import io

import numpy as np
import pytest
import soundfile
import soxr

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import UnreadableClipError, duration_s, levels, load_clip
from tests.audio.encode import sound

FORMATS = pytest.mark.parametrize(
    ("file_format", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "GSM610"),
        ("AIFF", "PCM_24"),
        ("CAF", "PCM_16"),
        ("W64", "PCM_16"),
        ("RF64", "PCM_16"),
        ("AU", "FLOAT"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)


def as_file(
    file_format: str, subtype: str, duration_s: float = 9.0, rate: int = 48_000
) -> io.BytesIO:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound(rate, duration_s), rate, format=file_format, subtype=subtype)
    buffer.seek(0)
    return buffer


@FORMATS
@pytest.mark.parametrize("new_rate", [48_000, 22_050, 16_000])
def test_a_part_of_a_file_equals_the_same_part_of_the_whole(file_format, subtype, new_rate):
    content = as_file(file_format, subtype).getvalue()
    whole, rate = soundfile.read(io.BytesIO(content), 9 * 48_000, dtype="float32")
    if rate != new_rate:
        whole = soxr.resample(whole, rate, new_rate, quality="HQ")
    config = ClipConfig(sample_rate_hz=new_rate, duration_s=1.0)
    for start_s in (0.0, 0.02, 3.33333, 7.9):
        clip = load_clip(io.BytesIO(content), config, start_s)
        first = round(start_s * new_rate)
        np.testing.assert_allclose(
            clip.waveform, whole[first : first + new_rate], rtol=0, atol=2e-6
        )


@pytest.mark.parametrize("rate", [8_000, 44_100, 44_101, 96_000])
def test_a_part_is_exact_at_any_ratio_of_rates(rate):
    content = as_file("WAV", "FLOAT", rate=rate).getvalue()
    whole = soxr.resample(sound(rate, 9.0), rate, 22_050, quality="HQ")
    for start_s in (1.0, 2.7183, 6.02):
        clip = load_clip(io.BytesIO(content), ClipConfig(duration_s=2.0), start_s)
        first = round(start_s * 22_050)
        np.testing.assert_allclose(clip.waveform, whole[first:][:44_100], rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_a_clip_ends_at_its_end_and_at_the_end_of_the_file(rate):
    content = as_file("WAV", "FLOAT", duration_s=5.0, rate=rate)
    full = load_clip(content, ClipConfig(), start_s=1.0)
    assert np.abs(full.waveform[-100:]).max() > 0.01
    cut = load_clip(content, ClipConfig(), start_s=1.0, end_s=2.5)
    np.testing.assert_allclose(cut.waveform[:33_075], full.waveform[:33_075], rtol=0, atol=2e-6)
    assert not cut.waveform[33_075:].any()
    late = load_clip(content, ClipConfig(), start_s=4.5, end_s=99.0)
    assert late.waveform[:11_000].any()
    assert not late.waveform[11_026:].any()
    assert late.duration_s == 5.0


@pytest.mark.parametrize("start_s", [5.0, 5.1, 1e6])
@FORMATS
def test_a_start_beyond_the_end_is_refused_with_both_times(file_format, subtype, start_s):
    content = as_file(file_format, subtype, duration_s=4.5)
    with pytest.raises(
        UnreadableClipError, match=r"the clip starts at .* s, but the file ends at 4\.5"
    ):
        load_clip(content, ClipConfig(), start_s)


@pytest.mark.parametrize(
    ("start_s", "end_s", "message"),
    [
        (-1.0, None, r"`start_s=-1.0` must be 0 or more"),
        (float("nan"), None, r"`start_s=nan` must be 0 or more"),
        (2.0, 2.0, r"`end_s=2.0` must be above `start_s=2.0`"),
        (2.0, float("nan"), r"`end_s=nan` must be above"),
    ],
)
def test_impossible_times_are_refused(start_s, end_s, message):
    with pytest.raises(ValueError, match=message):
        load_clip(io.BytesIO(), ClipConfig(), start_s, end_s)


@FORMATS
def test_the_length_is_exact(file_format, subtype):
    expected = 4.5 if subtype != "GSM610" else pytest.approx(4.5, abs=0.01)  # whole blocks
    content = as_file(file_format, subtype, duration_s=4.5)
    assert duration_s(content) == expected
    assert load_clip(content, ClipConfig(duration_s=1.0), 2.0).duration_s == duration_s(content)


def test_levels_are_the_mean_power_of_each_step():
    samples = np.stack([np.repeat([0.1, 0.5, 0.2, 0.0], 8_000), np.zeros(32_000)], axis=1)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples[:28_000], 8_000, format="WAV", subtype="FLOAT")
    buffer.seek(0)
    expected = [0.05**2, 0.25**2, 0.1**2, 0.0]
    np.testing.assert_allclose(levels(buffer, 1.0), expected, rtol=1e-6)
    assert levels(buffer, 0.5).shape == (7,)
    (of_the_whole,) = levels(buffer, 99.0)
    assert of_the_whole == pytest.approx(sum(expected[:3]) / 3.5, rel=1e-6)


@pytest.mark.parametrize("step_s", [0.1, 0.033333, 1.7])
def test_levels_do_not_depend_on_blocks(step_s):
    samples = sound(48_000, 9.0)
    steps = (np.arange(len(samples)) / (step_s * 48_000)).astype(int)
    power = samples.astype(float) ** 2
    expected = [power[steps == step].mean() for step in range(steps[-1] + 1)]
    found = levels(as_file("WAV", "FLOAT"), step_s)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("step_s", [0.0, -1.0, float("nan"), 1e-6])
def test_impossible_steps_are_refused(step_s):
    with pytest.raises(ValueError, match=f"`step_s={step_s}` must be"):
        levels(as_file("WAV", "FLOAT"), step_s)


def test_an_empty_or_truncated_file_has_no_length_and_no_levels():
    for content, reason in [
        (as_file("WAV", "PCM_16", duration_s=0.0).getvalue(), "no samples"),
        (as_file("WAV", "PCM_16").getvalue()[:-5_000], "truncated"),
        (as_file("FLAC", "PCM_16").getvalue()[:-5_000], "truncated"),
    ]:
        for use in (duration_s, lambda stream: levels(stream, 0.1)):
            with pytest.raises(UnreadableClipError, match=reason):
                use(io.BytesIO(content))
