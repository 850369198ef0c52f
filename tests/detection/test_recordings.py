import pandas as pd
import pytest

from freqquest.detection.recordings import Recording, list_recordings, refuse_unreadable
from freqquest.errors import UserError
from freqquest.storage import locate


def make(name, reason=""):
    return Recording(name=name, path=f"/in/{name}", key=name, reason=reason, duration_s=1.0)


def test_recordings_are_listed_by_name_with_the_key_of_their_content(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("z.wav", "b/a.flac"):
        (tmp_path / name).write_bytes(b"12")
    (tmp_path / "notes.txt").write_text("no audio")
    before = list_recordings(str(tmp_path))
    assert [each.name for each in before] == ["b/a.flac", "z.wav"]
    assert list_recordings(str(tmp_path / "z.wav"))[0].key == before[1].key
    (tmp_path / "z.wav").write_bytes(b"123")
    after = list_recordings(str(tmp_path))
    assert after[0] == before[0]
    assert after[1].key != before[1].key


def test_unreadable_recordings_are_listed_until_there_are_none(tmp_path):
    file = locate(tmp_path / "unreadable.csv")
    recordings = [make("a.wav"), make("b.wav", "truncated")]
    refuse_unreadable(recordings, file, 0.05)  # one is always allowed
    assert pd.read_csv(file.path).values.tolist() == [["/in/b.wav", "truncated"]]
    refuse_unreadable(recordings[:1], file, 0.05)
    assert not file.exists()


def test_too_many_unreadable_recordings_are_refused(tmp_path):
    recordings = [make("a.wav"), make("b.wav", "truncated")]
    with pytest.raises(
        UserError, match=r"1 of 2 recordings cannot be read, .*b\.wav \(truncated\)"
    ):
        refuse_unreadable(recordings, locate(tmp_path / "unreadable.csv"), 0.0)
