import io

import numpy as np
import pytest

from freqquest.audio.decode import UnreadableClipError
from freqquest.dataset.load_clip import open_clip, open_duration, open_levels
from freqquest.dataset.views import RECIPE_CLIP as CLIP
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
        open_duration,
        lambda path: open_levels(path, 0.5),
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
    assert open_duration(path) == 4.0
    np.testing.assert_allclose(open_levels(path, 2.0)[0], np.mean(whole[:44_100] ** 2), rtol=1e-4)


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
