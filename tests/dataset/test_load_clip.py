import io

import numpy as np
import pytest
import soundfile

from freqquest.audio.decode import Clip, UnreadableClipError
from freqquest.audio.spectrogram import log_mel
from freqquest.dataset.clip_inputs import Analysis
from freqquest.dataset.load_clip import (
    measure_file,
    open_clip,
    open_clips,
    open_windows,
    waveform_if_readable,
    window_inputs,
)
from freqquest.dataset.views import RECIPE_CLIP as CLIP
from freqquest.dataset.views import RECIPE_VIEWS
from freqquest.dataset.windows import choose_windows
from freqquest.storage import Location
from tests.audio.encode import encode, sound


@pytest.fixture
def path(audio_dir):
    return str(next(audio_dir.glob("*/*.wav")))


def test_a_missing_file_is_unreadable_but_a_missing_folder_is_an_outage(path, tmp_path):
    assert open_clip(path, CLIP).duration_s == 4.0
    with pytest.raises(UnreadableClipError, match="No such file"):
        open_clip(str(tmp_path / "x.wav"), CLIP)
    with pytest.raises(FileNotFoundError):
        open_clip(str(tmp_path / "gone" / "x.wav"), CLIP)


def test_a_clip_that_is_no_longer_readable_has_no_waveform(path, tmp_path):
    whole = waveform_if_readable(path, CLIP, 1.0, np.nan)
    assert (whole == open_clip(path, CLIP, 1.0).waveform).all()
    part = waveform_if_readable(path, CLIP, 1.0, 1.5)
    assert (part == open_clip(path, CLIP, 1.0, 1.5).waveform).all()
    assert waveform_if_readable(str(tmp_path / "x.wav"), CLIP, 1.0, np.nan) is None
    assert waveform_if_readable(str(tmp_path / "gone" / "x.wav"), CLIP, 1.0, np.nan) is None


@pytest.fixture(params=["wav", "m4a", "oga"])
def any_path(request, path, tmp_path):
    if request.param == "wav":
        return path
    file = tmp_path / f"a.{request.param}"
    file.write_bytes(encode(request.param, sound(44_100, 4.0)))
    return str(file)


@pytest.mark.parametrize(
    "use",
    [
        lambda path: open_clip(path, CLIP),
        lambda path: open_clip(path, CLIP, start_s=2.0),
        lambda path: measure_file(path, choose_windows("all", 4.0)),
        lambda path: measure_file(path, choose_windows("loudest", 4.0)),
    ],
    ids=["clip", "later clip", "length", "levels"],
)
def test_files_are_opened_by_their_path(any_path, use, tmp_path):
    assert use(any_path) is not None
    with pytest.raises(UnreadableClipError, match="No such file"):
        use(str(tmp_path / "x.m4a"))


def test_a_clip_may_start_and_end_within_its_file(path):
    whole, part = open_clip(path, CLIP).waveform, open_clip(path, CLIP, 1.0, 3.0).waveform
    np.testing.assert_allclose(part[:44_100], whole[22_050:66_150], rtol=0, atol=1e-6)
    assert not part[44_100:].any()
    length_s, levels = measure_file(path, choose_windows("loudest", 4.0, 2.0))
    assert length_s == 4.0
    np.testing.assert_allclose(levels[0], np.mean(whole[:44_100] ** 2), rtol=1e-4)


@pytest.mark.parametrize("num_bytes", [0, 44, 20_000])
def test_a_storage_error_within_a_file_is_not_mistaken_for_corruption(
    any_path, num_bytes, monkeypatch
):
    class Failing(io.BytesIO):
        def readinto(self, buffer):
            if self.tell() + len(buffer) > num_bytes:
                raise OSError("connection lost")
            return super().readinto(buffer)

        def read(self, size=-1):
            if self.tell() + size > num_bytes:
                raise OSError("connection lost")
            return super().read(size)

    open_location = Location.open
    monkeypatch.setattr(Location, "open", lambda path: Failing(open_location(path).read()))
    with pytest.raises(OSError, match="connection lost"):
        open_clip(any_path, CLIP)
    with pytest.raises(OSError, match="connection lost"):
        list(open_clips([(any_path, (0.0, None)), (any_path, (1.0, None))], CLIP))
    with pytest.raises(OSError, match="connection lost"):
        list(open_windows(any_path, CLIP, choose_windows("all", 4.0)))


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that are opened."""
    names = []
    open_location = Location.open

    def record(location):
        names.append(location.name)
        return open_location(location)

    monkeypatch.setattr(Location, "open", record)
    return names


@pytest.mark.parametrize("kind", ["all", "loudest"])
def test_a_file_is_opened_once_to_measure_it_and_once_for_all_windows(kind, opened, tmp_path):
    for name in ("a.wav", "b.m4a"):
        (tmp_path / name).write_bytes(encode(name[2:].replace("wav", "avi"), sound(44_100, 30.0)))
    paths = [str(tmp_path / name) for name in ("a.wav", "b.m4a")]
    windows = choose_windows(kind, 4.0, 2.0, max_per_file=5)
    found = list(window_inputs(paths, Analysis(CLIP, RECIPE_VIEWS["cnn"]), windows))
    assert [number for number, _, _ in found] == [0] * 5 + [1] * 5
    assert opened == ["a.wav"] * 2 + ["b.m4a"] * 2


def test_the_spectrograms_of_windows_are_those_of_their_clips(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, sound(44_100, 10.0), 44_100)
    analysis = Analysis(CLIP, RECIPE_VIEWS["cnn"])
    found = window_inputs([str(path)], analysis, choose_windows("all", 4.0, 2.5))
    starts = [0.0, 2.5, 5.0, 6.0]
    for start_s, (_, inputs, reason) in zip(starts, found, strict=True):
        waveform = open_clip(str(path), CLIP, start_s).waveform
        spectrogram = log_mel(waveform, RECIPE_VIEWS["cnn"], 22_050)
        assert np.array_equal(inputs.spectrograms, spectrogram[None])
        assert inputs.vectors is None
        assert reason == ""


def test_clips_come_in_the_order_of_their_places_and_each_file_is_opened_once(opened, tmp_path):
    for name in ("a.flac", "b.flac"):
        soundfile.write(tmp_path / name, sound(22_050, 12.0), 22_050)
    a, b = str(tmp_path / "a.flac"), str(tmp_path / "b.flac")
    places = [(a, (4.0, None)), (b, (0.0, 2.0)), (a, (0.0, None)), (a, (4.0, None)), (a, (4.0, 5))]
    clips = list(open_clips(places, CLIP))
    assert opened == ["a.flac", "b.flac"]
    for (path, part), clip in zip(places, clips, strict=True):
        assert isinstance(clip, Clip)
        assert np.array_equal(clip.waveform, open_clip(path, CLIP, *part).waveform)
        assert clip.duration_s == 12.0


def test_an_unreadable_clip_does_not_spoil_the_others_of_its_file(tmp_path):
    samples = sound(22_050, 12.0)
    samples[5 * 22_050] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
    path = str(tmp_path / "a.wav")
    places = [(path, (start_s, None)) for start_s in (8.0, 4.0, 0.0, 13.0)]
    last, with_nan, first, beyond = open_clips(places, CLIP)
    assert np.array_equal(last.waveform, samples[8 * 22_050 :])
    assert np.array_equal(first.waveform, samples[: 4 * 22_050])
    assert with_nan == "NaN or infinite samples"
    assert beyond == "the clip starts at 13 s, but the file ends at 12 s"


def test_every_clip_of_an_unreadable_file_has_its_reason(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    places = [
        (str(tmp_path / name), (start_s, None)) for start_s in (0.0, 4.0) for name in ("a.wav", "b")
    ]
    of_a, of_b, of_a_too, of_b_too = open_clips(places, CLIP)
    assert of_a == of_a_too
    assert "not readable as audio" in of_a
    assert of_b == of_b_too
    assert "No such file" in of_b
