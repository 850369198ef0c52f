import io

import pytest

from freqquest.audio.decode import UnreadableClipError
from freqquest.dataset.load_clip import open_clip
from freqquest.dataset.views import RECIPE_CLIP as CLIP
from freqquest.storage import Location


@pytest.fixture
def path(audio_dir):
    return str(next(audio_dir.glob("*/*.wav")))


def test_a_missing_file_is_unreadable_but_a_missing_folder_is_an_outage(path, tmp_path):
    assert open_clip(path, CLIP).duration_s == 4.0
    with pytest.raises(UnreadableClipError, match="No such file"):
        open_clip(str(tmp_path / "x.wav"), CLIP)
    with pytest.raises(FileNotFoundError):
        open_clip(str(tmp_path / "gone" / "x.wav"), CLIP)


@pytest.mark.parametrize("num_bytes", [0, 44, 20_000])
def test_a_storage_error_within_a_file_is_not_mistaken_for_corruption(path, num_bytes, monkeypatch):
    class Failing(io.BytesIO):
        def readinto(self, buffer):
            if self.tell() + len(buffer) > num_bytes:
                raise OSError("connection lost")
            return super().readinto(buffer)

    open_location = Location.open
    monkeypatch.setattr(Location, "open", lambda path: Failing(open_location(path).read()))
    with pytest.raises(OSError, match="connection lost"):
        open_clip(path, CLIP)
