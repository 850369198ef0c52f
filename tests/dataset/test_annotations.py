"""Sounds inside of files: CSV files, Audacity label files and Raven selection tables."""

import pytest

from freqquest.errors import UserError
from tests.dataset.test_sources import find, make


@pytest.fixture
def audio(tmp_path):
    return make(tmp_path / "audio", "a/x.wav", "b/y.flac", "unused.wav", "notes.pdf")


def write(tmp_path, name, text):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def rows(sources):
    columns = ["clip_id", "start_s", "end_s", "label", "recording"]
    return [tuple(row) for row in sources.clips[columns].itertuples(index=False)]


def reasons(sources, file):
    return [reason.removeprefix(f"{file} ") for reason in sources.rejected["reason"]]


def test_each_line_of_a_csv_is_a_clip_of_its_file_s_recording(tmp_path, audio):
    csv = write(
        tmp_path,
        "sounds.csv",
        "Path,Start_s,End_s,Label\n"
        "a/x.wav,12.5,13,dog\na/x.wav,0,1.25,cat\n./b/y.flac,3.0004,4,dog\na/x.wav,0.1,1,cat\n",
    )
    sources = find(audio, annotations=csv)
    assert rows(sources) == [
        ("a/x.wav#0", 0.0, 1.25, "cat", "a/x.wav"),
        ("a/x.wav#0.1", 0.1, 1.0, "cat", "a/x.wav"),
        ("a/x.wav#12.5", 12.5, 13.0, "dog", "a/x.wav"),
        ("b/y.flac#3", 3.0004, 4.0, "dog", "b/y.flac"),
    ]
    assert sources.clips["path"].tolist() == [f"{audio}/a/x.wav"] * 3 + [f"{audio}/b/y.flac"]
    assert sources.rejected.empty
    assert sources.notes == [
        "annotations: 4 in 1 CSV files",
        "audio files without annotations: 1",
        "recordings: the file of each clip, as clips are parts of files",
        "other files: 1 .pdf",
    ]


def test_a_csv_may_have_recordings_folds_and_splits(tmp_path, audio):
    csv = write(
        tmp_path,
        "s.csv",
        "path;start_s;end_s;label;recording;fold;split\n"
        "a/x.wav;0;1;dog;r1;1;train\nb/y.flac;0,5;1;cat;;2;val\n",
    )
    clips = find(audio, annotations=csv).clips
    assert clips["recording"].tolist() == ["r1", "b/y.flac"]
    assert clips["fold"].tolist() == [1, 2]
    assert clips["split"].tolist() == ["train", "validation"]
    assert clips["start_s"].tolist() == [0, 0.5]


@pytest.mark.parametrize("separator", [";", "|"])
def test_a_sound_may_have_several_labels(tmp_path, audio, separator):
    text = "path,start_s,end_s,label\na/x.wav,0,1,siren;dog; dog\na/x.wav,0.5,1,dog; siren\n"
    csv = write(tmp_path, "s.csv", text.replace(";", separator))
    sources = find(audio, annotations=csv, label_separator=separator)
    assert sources.clips["label"].tolist() == ["dog;siren", "dog;siren"]
    assert sources.rejected.empty


def test_a_label_with_a_semicolon_is_refused_with_its_line(tmp_path, audio):
    write(tmp_path, "labels/x.txt", "0\t1\tdog|siren\n1\t2\ta;b\n")
    with pytest.raises(UserError, match=r"x.txt \(of `annotations`\) line 2: label 'a;b' must not"):
        find(audio, annotations=str(tmp_path / "labels"), label_separator="|")


def test_a_pattern_gives_the_recording_of_parts(tmp_path, audio):
    csv = write(tmp_path, "s.csv", "path,start_s,end_s,label\na/x.wav,0,1,dog\nb/y.flac,0,1,cat\n")
    clips = find(audio, annotations=csv, recording_pattern=r"^(.)").clips
    assert clips["recording"].tolist() == ["x", "y"]


def test_annotations_that_name_no_sound_are_quarantined_by_line(tmp_path, audio):
    csv = write(
        tmp_path,
        "s.csv",
        "path,start_s,end_s,label\n"
        "a/x.wav,0,1,dog\nb/y.flac,0,1,cat\n"
        "a/x.wav,2,2,dog\na/x.wav,4,3,dog\na/x.wav,-1,3,dog\na/x.wav,x,3,dog\n"
        "a/x.wav,2,inf,dog\na/x.wav,2,3,\ngone.wav,2,3,dog\n../x.wav,2,3,dog\n,2,3,dog\n",
    )
    sources = find(audio, annotations=csv)
    assert len(sources.clips) == 2
    assert reasons(sources, csv) == [
        "line 4: its length is zero",
        "line 5: it ends before it starts",
        "line 6: it starts before the file",
        "line 7: its start or end is not a number of seconds",
        "line 8: its start or end is not a number of seconds",
        "line 9: no label",
        f"line 10: no audio file of this name below {audio}",
        f"line 11: no audio file of this name below {audio}",
        f"line 12: no audio file of this name below {audio}",
    ]
    assert sources.rejected["path"].tolist()[5:] == [
        "a/x.wav",
        "gone.wav",
        "../x.wav",
        csv,
    ]


def test_of_overlapping_sounds_with_different_labels_the_second_is_quarantined(tmp_path, audio):
    csv = write(
        tmp_path,
        "s.csv",
        "path,start_s,end_s,label\n"
        "a/x.wav,5,9,dog\na/x.wav,0,2,dog\na/x.wav,1,3,dog\na/x.wav,2.5,4,cat\n"
        "a/x.wav,5,6,cat\na/x.wav,9,10,cat\nb/y.flac,5,6,cat\na/x.wav,5.0001,7,dog\n",
    )
    sources = find(audio, annotations=csv)
    assert [row[:4] for row in rows(sources)] == [
        ("a/x.wav#0", 0, 2, "dog"),
        ("a/x.wav#1", 1, 3, "dog"),
        ("a/x.wav#5", 5, 9, "dog"),
        ("a/x.wav#9", 9, 10, "cat"),
        ("b/y.flac#5", 5, 6, "cat"),
    ]
    assert reasons(sources, csv) == [
        f"line 5: it overlaps {csv} line 4, which has another label",
        f"line 6: it overlaps {csv} line 2, which has another label",
        f"line 9: it starts with {csv} line 2: keep one of them",
    ]


AUDACITY = "0.5\t1.5\tdog\n\\\t100.0\t2000.0\n\n2,25\t3\t cat \n4.0\t4.0\tpoint\n5\t6\n"


@pytest.mark.parametrize(
    ("labels", "annotations"),
    [
        ("labels/a/x.txt", "labels"),
        ("labels/X.txt", "labels"),
        ("x.txt", "x.txt"),
        ("audio/a/x.txt", "audio"),
    ],
    ids=["same folders", "flat folder", "one file", "beside the audio"],
)
def test_audacity_label_files_go_with_the_audio_of_their_name(tmp_path, audio, labels, annotations):
    file = write(tmp_path, labels, AUDACITY)
    sources = find(audio, annotations=str(tmp_path / annotations))
    assert [row[:4] for row in rows(sources)] == [
        ("a/x.wav#0.5", 0.5, 1.5, "dog"),
        ("a/x.wav#2.25", 2.25, 3.0, "cat"),
    ]
    assert reasons(sources, file) == ["line 5: its length is zero", "line 6: no label"]
    assert sources.notes[0] == "annotations: 4 in 1 Audacity label files"


RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t{label}\n"
    "1\tWaveform 1\t1\t1.0\t2.5\t100\tdog\n"
    "1\tSpectrogram 1\t1\t1.0\t2.5\t100\tdog\n"
    "2\tSpectrogram 1\t1\t3.0\t4.0\t100\tcat\n"
)


@pytest.mark.parametrize("label", ["Species", "Annotation", "label", "Call Type", "Class"])
def test_raven_tables_go_with_the_audio_of_their_name(tmp_path, audio, label):
    write(tmp_path, "raven/x.Table.1.selections.txt", RAVEN.format(label=label))
    sources = find(audio, annotations=str(tmp_path / "raven"))
    assert [row[:4] for row in rows(sources)] == [
        ("a/x.wav#1", 1.0, 2.5, "dog"),
        ("a/x.wav#3", 3.0, 4.0, "cat"),
    ]
    assert sources.notes[0] == "annotations: 2 in 1 Raven selection tables"


def test_raven_tables_may_name_their_files_and_the_times_in_them(tmp_path, audio):
    write(
        tmp_path,
        "raven/all.txt",
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tSpecies\n"
        "1\t100.5\t101\tC:\\Users\\me\\x.wav\t0.5\tdog\n"
        "2\t200\t202\tC:\\Users\\me\\y.wav\t20\tcat\n",
    )
    assert [row[:4] for row in rows(find(audio, annotations=str(tmp_path / "raven")))] == [
        ("a/x.wav#0.5", 0.5, 1.0, "dog"),
        ("b/y.flac#20", 20.0, 22.0, "cat"),
    ]


def test_text_files_beside_the_audio_that_are_no_annotations_are_counted(tmp_path, audio):
    write(tmp_path, "audio/a/x.txt", "0\t1\tdog\n1\t2\tcat\n")
    write(tmp_path, "audio/README.txt", "About these sounds\n")
    write(tmp_path, "audio/b/y.txt", "\n")
    sources = find(audio, annotations=audio)
    assert sources.notes[0] == "annotations: 2 in 1 Audacity label files; not annotations: 1 file"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "path,start_s,label\n", "`annotations=.*s.csv` has no annotations: it must be"),
        ("s.csv", "path,start_s,end_s,label\n", "has no annotations: give a CSV"),
        ("s.csv", "path,start_s,end_s,label\na/x.wav,1,1,a\n", "no labeled clips.*length is zero"),
        ("s.csv", "path,start_s,end_s,label,fold\nx,0,1,a,b\n", "line 2: fold 'b' must be an int"),
        ("x.txt", "dog from 0 to 1\n", "`annotations=.*x.txt` has no annotations: it must"),
        ("gone", None, "`annotations=.*gone` does not exist: give a file or a folder"),
        (
            "s.csv",
            "path,start_s,end_s,label\nz.wav,0,1,a\n",
            "`annotations=.*s.csv` names none of the 3 audio files: it begins with z.wav, the "
            "files with a/x.wav; give the annotations of these files",
        ),
    ],
)
def test_files_without_annotations_are_refused(tmp_path, audio, name, text, message):
    if text is not None:
        write(tmp_path, name, text)
    with pytest.raises(UserError, match=message):
        find(audio, annotations=str(tmp_path / name))


def test_a_file_named_for_audio_that_is_no_annotation_is_refused(tmp_path, audio):
    write(tmp_path, "labels/x.txt", "dog from 0 to 1\n")
    write(tmp_path, "labels/y.txt", "0\t1\tdog\n")
    with pytest.raises(UserError, match="labels/x.txt .of `annotations`. has no annotations"):
        find(audio, annotations=str(tmp_path / "labels"))
