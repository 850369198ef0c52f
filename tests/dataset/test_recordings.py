"""Where recordings come from, and what the summary says of it."""

import pytest

from tests.dataset.test_sources import find, make


def recordings(sources):
    return sources.clips.set_index("clip_id")["recording"].to_dict()


def note(sources):
    return next(note for note in sources.notes if note.startswith("recordings: "))


def test_urbansound_names_give_the_recording_if_all_fit(tmp_path):
    root = make(tmp_path, "dog/102-3-0-0.wav", "dog/102-3-0-1.wav", "siren/7-8-0-0.wav")
    sources = find(root)
    assert list(recordings(sources).values()) == ["102", "102", "7"]
    assert note(sources) == (
        "recordings: from the file names, e.g. 102 of 102-3-0-0.wav, 7 of 7-8-0-0.wav"
    )
    make(tmp_path, "dog/extra.wav")
    sources = find(root)
    assert list(recordings(sources)) == list(recordings(sources).values())
    assert note(sources) == "recordings: unknown for 4 files, each counts as its own"


@pytest.mark.parametrize(
    "names",
    [
        ("dog/2023-07-10-120000.wav", "siren/2023-07-11-120000.wav"),
        ("dog/2023-7-10-12.wav", "siren/2023-7-11-12.wav"),
        ("dog/2023-10-1-12.wav", "siren/2023-11-1-12.wav"),
        ("dog/1-2-3.wav", "siren/1-2-4.wav"),
    ],
    ids=["padded date", "date of one month", "date of two months", "three numbers"],
)
def test_dates_are_not_taken_for_urbansound_names(tmp_path, names):
    sources = find(make(tmp_path, *names))
    assert list(recordings(sources).values()) == list(names)


def test_a_pattern_takes_precedence_and_names_that_it_misses_are_their_own(tmp_path):
    root = make(tmp_path, "a/s7_1.wav", "a/s7_2.wav", "b/other.wav")
    sources = find(root, recording_pattern=r"^(s\d+)_")
    assert list(recordings(sources).values()) == ["s7", "s7", "b/other.wav"]
    assert note(sources) == "recordings: from `recording_pattern`, e.g. s7 of s7_1.wav"
    assert "recordings: unknown for 1 file, each counts as its own" in sources.notes


def test_a_pattern_takes_precedence_over_folders_but_not_over_the_user_s_table(tmp_path):
    root = make(tmp_path / "audio", *(f"{c}/{s}/d{s}_{c}.wav" for c in "ab" for s in "xyz"))
    assert list(recordings(find(root)).values()) == ["x", "y", "z", "x", "y", "z"]
    sources = find(root, recording_pattern=r"^(d.)_")
    assert list(recordings(sources).values()) == ["dx", "dy", "dz", "dx", "dy", "dz"]
    (tmp_path / "m.csv").write_text(
        "path,label,recording\na/x/dx_a.wav,a,r1\na/y/dy_a.wav,a,\nb/x/dx_b.wav,b,r2\n"
    )
    sources = find(root, metadata=str(tmp_path / "m.csv"), recording_pattern=r"^(d.)_")
    assert list(recordings(sources).values()) == ["r1", "dy", "r2"]


def test_copies_count_as_one_recording(tmp_path):
    root = make(tmp_path, "a/x.wav", "a/y.wav", "b/z.wav", "b/empty.wav", "b/empty 2.wav")
    for name in ("a/x (1).wav", "a/x (2).wav"):
        (tmp_path / name).write_bytes((tmp_path / "a/x.wav").read_bytes())
    for name in ("b/empty.wav", "b/empty 2.wav"):
        (tmp_path / name).write_bytes(b"")
    sources = find(root)
    assert recordings(sources) == {
        "a/x (1).wav": "a/x (1).wav",
        "a/x (2).wav": "a/x (1).wav",
        "a/x.wav": "a/x (1).wav",
        "a/y.wav": "a/y.wav",
        "b/z.wav": "b/z.wav",
        "b/empty.wav": "b/empty.wav",
        "b/empty 2.wav": "b/empty 2.wav",
    }
    assert (
        "equal content: 2 files in the recording of a copy, e.g. a/x (2).wav of a/x (1).wav"
    ) in sources.notes


def test_a_copy_with_another_label_is_named(tmp_path):
    root = make(tmp_path, "a/x.wav", "b/z.wav")
    (tmp_path / "b/x.wav").write_bytes((tmp_path / "a/x.wav").read_bytes())
    sources = find(root)
    assert recordings(sources)["b/x.wav"] == "a/x.wav"
    assert "warning: files of equal content have several labels" in sources.notes


def test_copies_in_several_splits_of_the_user_are_a_warning(tmp_path):
    root = make(tmp_path, "train/a/x.wav", "train/b/y.wav", "val/a/z.wav", "val/b/u.wav")
    (tmp_path / "val/a/copy.wav").write_bytes((tmp_path / "train/a/x.wav").read_bytes())
    sources = find(root)
    assert recordings(sources)["val/a/copy.wav"] == "val/a/copy.wav"
    assert (
        "warning: 2 files of equal content are in several splits or folds, e.g. train/a/x.wav and "
        "val/a/copy.wav: accuracies will be too high; remove the copies"
    ) in sources.notes


def test_known_recordings_are_kept_although_the_content_is_equal(tmp_path):
    root = make(tmp_path / "audio", "x.wav", "y.wav", "z.wav")
    for name in ("y", "z"):
        (tmp_path / f"audio/{name}.wav").write_bytes((tmp_path / "audio/x.wav").read_bytes())
    (tmp_path / "m.csv").write_text("path,label,recording\nx.wav,a,r0\ny.wav,b,r0 \nz.wav,b,\n")
    sources = find(root, metadata=str(tmp_path / "m.csv"))
    assert list(recordings(sources).values()) == ["r0", "r0", "z.wav"]
    assert note(sources) == "recordings: from the column recording of m.csv, e.g. r0 of x.wav"


def test_parts_of_copies_share_their_recording(tmp_path):
    root = make(tmp_path / "audio", "x.wav", "y.wav")
    (tmp_path / "audio/copy.wav").write_bytes((tmp_path / "audio/x.wav").read_bytes())
    (tmp_path / "s.csv").write_text(
        "path,start_s,end_s,label\nx.wav,0,1,a\nx.wav,2,3,b\ncopy.wav,5,6,a\ny.wav,0,1,b\n"
    )
    sources = find(root, annotations=str(tmp_path / "s.csv"))
    assert recordings(sources) == {
        "copy.wav#5": "copy.wav",
        "x.wav#0": "copy.wav",
        "x.wav#2": "copy.wav",
        "y.wav#0": "y.wav",
    }
