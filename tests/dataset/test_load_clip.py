import io

import pytest

from freqquest.audio.decode import UnreadableClipError
from freqquest.dataset import load_clip as clips
from freqquest.dataset.config import CLIP
from freqquest.storage import Location


@pytest.fixture
def path(audio_dir):
    return str(next(audio_dir.glob("*/*.wav")))


def test_a_file_that_is_missing_is_refused_and_a_folder_that_is_missing_is_an_outage(
    path, tmp_path
):
    assert clips.load(path, CLIP).duration_s == 4.0
    with pytest.raises(UnreadableClipError, match="No such file"):
        clips.load(str(tmp_path / "x.wav"), CLIP)
    with pytest.raises(FileNotFoundError):
        clips.load(str(tmp_path / "gone" / "x.wav"), CLIP)


@pytest.mark.parametrize("num_bytes", [0, 44, 20_000])
def test_storage_that_fails_in_the_middle_of_a_file_is_no_damaged_file(
    path, num_bytes, monkeypatch
):
    class Failing(io.BytesIO):
        def readinto(self, buffer):
            if self.tell() + len(buffer) > num_bytes:
                raise OSError("connection lost")
            return super().readinto(buffer)

    whole = Location.open
    monkeypatch.setattr(Location, "open", lambda place: Failing(whole(place).read()))
    with pytest.raises(OSError, match="connection lost"):
        clips.load(path, CLIP)
