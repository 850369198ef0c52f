"""Annotated sounds that detections are compared with."""

import pytest

from freqquest.dataset.tree import list_tree
from freqquest.detection.references import read_references
from freqquest.errors import UserError

HEADER = "path,start_s,end_s,label\n"
DURATIONS_S = {"a/x.wav": 10.0, "b/y.flac": 20.0, "z.wav": 30.0}


@pytest.fixture
def read(tmp_path):
    """Read annotations, given as the text of files below a folder, or as one CSV."""
    for path in DURATIONS_S:
        (tmp_path / "audio" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / path).write_bytes(b"")

    def read(files, durations_s=DURATIONS_S, classes=("dog", "siren"), **settings):
        files = {"sounds.csv": HEADER + files} if isinstance(files, str) else files
        for name, text in files.items():
            (tmp_path / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "labels" / name).write_text(text)
        tree = list_tree(str(tmp_path / "audio"), "audio_dir")
        return read_references(tree, str(tmp_path / "labels"), durations_s, classes, **settings)

    return read


def rows(references):
    return list(references.events.itertuples(index=False, name=None))


def places(references):
    """Reasons of the rejected annotations, without the folder of their file."""
    return [reason.rsplit("/", 1)[-1] for reason in references.rejected["reason"]]


def test_sounds_are_sorted_and_may_overlap_start_together_and_have_several_labels(read):
    references = read(
        "z.wav,2,3,dog\na/x.wav,5,9,dog\na/x.wav,5,9,siren\n./a/x.wav,1,2,dog;siren\n"
        "a/x.wav,0.5,1.5,dog\nX.WAV,5,8,dog\n"
    )
    assert rows(references) == [
        ("a/x.wav", 0.5, 1.5, "dog"),
        ("a/x.wav", 1.0, 2.0, "dog"),
        ("a/x.wav", 1.0, 2.0, "siren"),
        ("a/x.wav", 5.0, 8.0, "dog"),
        ("a/x.wav", 5.0, 9.0, "dog"),
        ("a/x.wav", 5.0, 9.0, "siren"),
        ("z.wav", 2.0, 3.0, "dog"),
    ]
    assert references.rejected.empty


def test_the_order_of_the_rows_does_not_matter(read):
    lines = ["z.wav,2,3,dog", "a/x.wav,5,9,siren", "a/x.wav,5,9,dog", "a/x.wav,1,2,cat"]
    first, second = read("\n".join(lines)), read("\n".join(reversed(lines)))
    assert rows(first) == rows(second)
    assert first.durations_s == second.durations_s


def test_audacity_and_raven_files_go_with_the_recording_of_their_name(read):
    raven = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t3\t4\tsiren\n"
    references = read({"x.txt": "0.5\t1\tdog\n", "b/y.Table.1.selections.txt": raven})
    assert rows(references) == [("a/x.wav", 0.5, 1.0, "dog"), ("b/y.flac", 3.0, 4.0, "siren")]


def test_an_annotation_beyond_the_end_of_its_file_is_named_with_file_line_and_both_times(read):
    references = read("a/x.wav,1,2,dog\na/x.wav,9,12.5,dog\nz.wav,30,30.01,dog\n")
    assert rows(references) == [("a/x.wav", 1.0, 2.0, "dog")]
    assert places(references) == [
        "sounds.csv line 3: it ends at 12.500 s, but its file is 10.000 s long",
        "sounds.csv line 4: it ends at 30.010 s, but its file is 30.000 s long",
    ]
    assert [note.rsplit("/", 1)[-1] for note in references.notes[1:3]] == places(references)


@pytest.mark.parametrize(("end_s", "kept"), [("10.05", [10.0]), ("10.051", [])])
def test_an_annotation_may_end_a_twentieth_of_a_second_late_and_is_cut(read, end_s, kept):
    references = read(f"z.wav,1,2,dog\na/x.wav,9,{end_s},dog\n")
    assert [row[2] for row in rows(references) if row[0] == "a/x.wav"] == kept


def test_annotations_that_name_no_sound_are_left_out_by_line(read):
    references = read(
        "a/x.wav,1,2,dog\na/x.wav,2,2,dog\na/x.wav,4,3,dog\na/x.wav,-1,3,dog\na/x.wav,x,3,dog\n"
        "a/x.wav,2,3,\ngone.wav,2,3,dog\ngone.wav,3,4,dog\na/x.wav,1,2,dog\n"
    )
    assert len(references.events) == 1
    assert [place.partition(" below")[0] for place in places(references)[:5]] == [
        "sounds.csv line 3: its length is zero",
        "sounds.csv line 4: it ends before it starts",
        "sounds.csv line 5: it starts before the file",
        "sounds.csv line 6: its start or end is not a number of seconds",
        "sounds.csv line 7: no label",
    ]
    assert len(references.rejected) == 8
    notes = [note.rsplit("labels/", 1)[-1] for note in references.notes]
    assert notes[1] == "sounds.csv line 3: its length is zero"
    assert notes[6].startswith("sounds.csv line 8 (and 1 more): no audio file of this name below")
    assert notes[7] == "sounds.csv line 10: it repeats another annotation"


def test_reasons_beyond_the_tenth_are_counted(read):
    references = read(
        "a/x.wav,1,2,dog\n" + "".join(f"a/x.wav,9,{end}.5,dog\n" for end in range(20, 33))
    )
    assert sum(note.startswith("left out: ") for note in references.notes) == 11
    assert "left out: 3 more annotations" in references.notes


def test_labels_that_the_model_does_not_know_are_counted_and_their_recordings_scored(read):
    references = read("a/x.wav,1,2,cat\nb/y.flac,1,2,dog\nb/y.flac,3,4,cat;owl\n")
    assert rows(references) == [("b/y.flac", 1.0, 2.0, "dog")]
    assert references.durations_s == {"a/x.wav": 10.0, "b/y.flac": 20.0}
    assert references.notes[-2] == (
        "not in the scores, as the model does not know them: cat (2), owl (1)"
    )
    assert references.rejected.empty


def test_recordings_that_the_annotations_do_not_mention_are_not_scored(read):
    references = read("a/x.wav,1,2,dog\n")
    assert references.durations_s == {"a/x.wav": 10.0}
    assert references.num_unannotated == 2
    assert references.notes[-1] == "not in the scores, as not annotated: 2 files"


@pytest.mark.parametrize(
    "files",
    [
        {"x.txt": "1\t2\tdog\n", "y.txt": ""},
        {"x.txt": "1\t2\tdog\n", "b/y.txt": "\n"},
        {"x.txt": "1\t2\tdog\n", "y.selections.txt": "Begin Time (s)\tEnd Time (s)\tSpecies\n"},
        {"all.csv": f"{HEADER}a/x.wav,1,2,dog\nb/y.flac,,,\n"},
    ],
    ids=["empty Audacity file", "one blank line", "Raven's header", "path alone"],
)
def test_an_annotated_recording_without_sounds_is_scored(read, files):
    references = read(files)
    assert rows(references) == [("a/x.wav", 1.0, 2.0, "dog")]
    assert references.durations_s == {"a/x.wav": 10.0, "b/y.flac": 20.0}
    assert references.rejected.empty


def test_empty_label_files_alone_say_that_there_is_no_sound(read):
    references = read({"y.txt": ""})
    assert references.events.columns.tolist() == ["path", "start_s", "end_s", "label"]
    assert references.events.empty
    assert references.durations_s == {"b/y.flac": 20.0}


def test_a_recording_whose_annotations_were_all_left_out_is_not_scored(read):
    references = read("a/x.wav,1,2,dog\nz.wav,3,3,dog\n")
    assert references.durations_s == {"a/x.wav": 10.0}


def test_recordings_that_were_not_analyzed_are_not_scored(read):
    references = read("a/x.wav,1,2,dog\nz.wav,1,2,dog\n", durations_s={"a/x.wav": 10.0})
    assert references.durations_s == {"a/x.wav": 10.0}
    assert references.num_unannotated == 0
    assert places(references) == ["sounds.csv line 3: its file was not analyzed"]


def test_the_user_names_columns_and_the_separator_of_labels(read):
    text = "wav,start_s,end_s,what\na/x.wav,1,2,dog|siren\n"
    columns = {"file": "wav", "label": "what"}
    references = read({"s.csv": text}, columns=columns, label_separator="|")
    assert [row[3] for row in rows(references)] == ["dog", "siren"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("a/x.wav,2,2,dog\n", "has no usable annotation of the 3 recordings: .*line 2: its length"),
        ("gone.wav,1,2,dog\n", "names none of the 3 audio files: it begins with gone.wav"),
        ({"other.txt": ""}, "has no annotations: give a CSV"),
        ({"x.txt": "a dog from 0 to 1\n"}, r"labels/x.txt .* has no annotations: it must be a CSV"),
    ],
)
def test_annotations_of_no_recording_are_refused(read, files, message):
    with pytest.raises(UserError, match=message):
        read(files)
