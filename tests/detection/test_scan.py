import pytest

from freqquest.cnn.model_file import read_card
from freqquest.detection.grid import Grid
from freqquest.detection.parts import list_parts, open_parts, write_part
from freqquest.detection.recordings import list_recordings, measure
from freqquest.detection.scan import Scan
from freqquest.errors import UserError
from freqquest.storage import locate


@pytest.fixture
def make_scan(local_ray, tmp_path, model_file, listening_here):
    card = read_card(model_file)

    def make(**changed):
        settings = {
            "model_file": model_file,
            "grid": Grid(clip=card.clip, view=card.view, hop_s=1.0),
            "parts": open_parts(locate(tmp_path / "events.csv"), {}),
            "piece_s": 60.0,
            "use_gpu": False,
        }
        return Scan(**settings | changed)

    return make


def units_of(scan):
    return sorted(
        (units.start, units.stop) for parts in list_parts(scan.parts).values() for units, _ in parts
    )


def test_a_scan_goes_on_with_what_is_missing_whatever_the_pieces(make_scan, recordings_dir):
    scan = make_scan()
    recordings = measure(list_recordings(str(recordings_dir)))
    assert [each.name for each in recordings] == ["long.flac", "night/short.wav"]
    scan.run(recordings)
    assert units_of(scan) == [(0, 1), (0, 1), (1, 2), (2, 3)]

    (long, short) = (list_parts(scan.parts)[each.key] for each in recordings)
    long[1][1].remove_file()
    kept = long[0][1].read_bytes()
    assert [piece["first_unit"] for piece in scan._missing_pieces(recordings)] == [1]
    again = make_scan(piece_s=3000.0)
    again.run(recordings)
    assert units_of(again) == [(0, 1), (0, 1), (1, 2), (2, 3)]
    assert long[0][1].read_bytes() == kept
    heard = {recording.name: heard for recording, heard in again.heard(recordings)}
    assert len(heard["long.flac"].probabilities) == 147
    assert len(short) == 1

    write_part(scan.parts, recordings[0].key, range(1, 3), [heard["long.flac"]])
    again.run(recordings)  # without that part, which a worker of a stopped job wrote
    assert units_of(again) == [(0, 1), (0, 1), (1, 2), (2, 3)]
    long[2][1].remove_file()  # by a job that ran at the same time
    with pytest.raises(UserError, match=r"does not hold long\.flac once: another job has written"):
        list(again.heard(recordings))


def test_a_recording_that_ends_early_is_unreadable_and_the_others_are_heard(
    make_scan, recordings_dir, tmp_path
):
    whole = (recordings_dir / "long.flac").read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.flac").write_bytes(whole)
    (tmp_path / "in" / "b.flac").write_bytes(whole)
    recordings = measure(list_recordings(str(tmp_path / "in")))
    (tmp_path / "in" / "b.flac").write_bytes(whole[: len(whole) // 2])  # after it was measured
    a, b = make_scan().run(recordings)
    assert a.reason == ""
    assert "truncated or corrupt" in b.reason


def test_pieces_are_shorter_where_there_are_more_cores(make_scan, monkeypatch):
    scan = make_scan(piece_s=None)
    for num_cores, length in ((1, 9), (8, 4), (1000, 1)):
        monkeypatch.setattr("freqquest.cluster.capacity.num_cores", lambda cores=num_cores: cores)
        assert scan._units_per_piece(100) == length
    assert make_scan(piece_s=640.0)._units_per_piece(100) == 10
