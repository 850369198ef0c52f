"""CSV files from users: lists of clips, UrbanSound8K's metadata, and errors in them."""

import pytest

from freqquest.errors import UserError
from tests.dataset.test_sources import find, make


@pytest.fixture
def audio(tmp_path):
    return make(tmp_path / "audio", "x.wav", "deep/er/y.flac", "z.wav", "not listed.wav")


def write(tmp_path, content):
    (tmp_path / "clips.csv").write_text(content)
    return str(tmp_path / "clips.csv")


def test_a_list_of_clips_gives_labels_recordings_folds_and_splits(tmp_path, audio):
    csv = write(
        tmp_path,
        "\ufeffpath,label,recording,fold,split\n"
        "./x.wav,siren,r1,1,train\n"
        'deep/er/y.flac,"dog, barking",,2,validation\n'
        "\n"
        "z.wav,,r3,,test\n",
    )
    sources = find(audio, metadata=csv)
    clips = sources.clips.set_index("clip_id")
    assert clips.index.tolist() == ["deep/er/y.flac", "x.wav", "z.wav"]
    assert clips["label"].dropna().to_dict() == {"deep/er/y.flac": "dog, barking", "x.wav": "siren"}
    assert clips["recording"].to_dict() == {
        "deep/er/y.flac": "deep/er/y.flac",
        "x.wav": "r1",
        "z.wav": "r3",
    }
    assert clips["split"].tolist() == ["validation", "train", "test"]
    assert clips["fold"].dropna().to_dict() == {"deep/er/y.flac": 2, "x.wav": 1}
    assert clips["path"]["x.wav"] == f"{audio}/x.wav"
    assert sources.rejected.empty


def test_lines_that_name_no_clip_are_refused_with_their_number(tmp_path, audio):
    csv = write(
        tmp_path,
        "path,label\nx.wav,a\n../secret.wav,a\n/etc/passwd.wav,a\nmissing.wav,a\n"
        '"new\nline.wav",a\nnul\0.wav,a\ndeep/er/y.flac,b\nz.wav,\n,a\n,b\n,\n',
    )
    sources = find(audio, metadata=csv)
    assert sources.clips["clip_id"].tolist() == ["deep/er/y.flac", "x.wav"]
    reasons = [reason.removeprefix(f"{csv} ") for reason in sources.rejected["reason"]]
    outside = "not a path below the audio folder"
    assert reasons == [
        f"line 3: {outside}",
        f"line 4: {outside}",
        f"line 5: no audio file of this name below {audio}",
        f"line 6: {outside}",
        f"line 8: {outside}",
        "line 10: no label",
        f"line 11: {outside}",
        f"line 12: {outside}",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "`metadata=.*meta.csv` does not exist or is not a file"),
        ("", "is empty: its first line must name the columns"),
        ('path,label\n"x.wav,a\n', "is not a readable CSV: unexpected end of data"),
        ("file,id\nx.wav,1\n", "has the columns file, id: it needs path, label .*UrbanSound8K's"),
        ("Datei,Art\nx.wav,1\n", "or its own names in `path_column` and `label_column`"),
        ("path,class\nx.wav,1\n", "has the columns path, class: it needs path, label"),
        (
            "slice_file_name,fsID\nother.wav,1\n",
            "names none of the 4 clips .* begins with other.wav, the clips with ",
        ),
        ("slice_file_name,fsID\n", "has no row below its header"),
        ("path,label\n", "`metadata=.*meta.csv` has no row below its header: list the clips"),
        ("slice_file_name,fsID\nx.wav,1\nx.wav,2\n", "line 3 repeats a/x.wav: keep one"),
        ("path,label\nx.wav,1\n./x.wav,2\n", "line 3 repeats x.wav"),
        ("slice_file_name,fsID,fold\nx.wav,1,fold1\n", "line 2: fold 'fold1' must be an integer"),
        ("path,label,split\nx.wav,a,train\nz.wav,b,dev\n", "line 3: split 'dev' must be one of"),
        ("path,label\nx.wav,a\n", r"has only one class \(a\)"),
        ("path,label,split\nx.wav,a,train\nz.wav,b,test\n", r"has only one class \(a\)"),
        ("path,label\nx.wav,dog, barking\n", "line 2 has more cells than columns: put"),
        ("path,label,label\nx.wav,a,b\n", "has the column label twice"),
        ("slice_file_name,fsID,class,label\nx.wav,1,a,b\n", "it needs path, label"),
        ("path,label\nx.wav,../a\nz.wav,b\n", "label '../a' cannot be a file name"),
        ("path,label,fold\nx.wav,a,1e30\nz.wav,b,1\n", "line 2: fold '1e30' must be an integer"),
        (
            "path,label\n/data/x.wav,a\n",
            "names none of the 2 clips in its column path: it begins with /data/x.wav, the clips "
            "with x.wav; give the CSV of these clips, or the folder",
        ),
    ],
    ids=[
        "missing", "empty", "unclosed", "columns", "own columns", "no label", "other clips",
        "no row to add", "no row", "repeated", "repeated path", "fold", "split", "one class",
        "one class to learn", "unquoted comma", "column twice", "two labels", "label is a path",
        "huge fold", "absolute paths",
    ],
)  # fmt: skip
def test_invalid_metadata_is_refused(tmp_path, content, message):
    root = make(tmp_path / "audio", "a/x.wav", "b/y.wav", "b/z.wav", "b/u.wav")
    if content is not None and content.startswith("path"):
        root = make(tmp_path / "flat", "x.wav", "z.wav")
    if content is not None:
        (tmp_path / "meta.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        find(root, metadata=str(tmp_path / "meta.csv"))


def test_metadata_by_file_name_needs_unique_names(tmp_path):
    root = make(tmp_path / "audio", "dog/001.wav", "cat/001.wav")
    (tmp_path / "meta.csv").write_text("slice_file_name,fsID\n001.wav,7\n")
    with pytest.raises(
        UserError,
        match="line 2 names 001.wav, which is the name of cat/001.wav and dog/001.wav: list",
    ):
        find(root, metadata=str(tmp_path / "meta.csv"))


def test_the_user_s_own_columns_are_named_by_settings(tmp_path, audio):
    csv = write(
        tmp_path,
        "id;Datei;Art;Ort;Teil;Rolle;label\n1;x.wav;hum;r1;1;Train;no\n2;z.wav;buzz;r2;2;Val;no\n",
    )
    sources = find(
        audio,
        metadata=csv,
        path_column="Datei",
        label_column="art",
        recording_column="Ort",
        fold_column="Teil",
        split_column="Rolle",
    )
    clips = sources.clips
    assert clips["label"].tolist() == ["hum", "buzz"]
    assert clips["recording"].tolist() == ["r1", "r2"]
    assert clips["fold"].tolist() == [1, 2]
    assert clips["split"].tolist() == ["train", "validation"]
    assert sources.notes[:2] == [
        "layout: list of clips (clips.csv)",
        "audio files not in clips.csv: 2",
    ]


def test_columns_that_are_not_named_are_found_by_their_names(tmp_path, audio):
    csv = write(tmp_path, "path,Species,fold\nx.wav,a,1\nz.wav,b,2\n")
    clips = find(audio, metadata=csv, label_column="Species").clips
    assert clips["label"].tolist() == ["a", "b"]
    assert clips["fold"].tolist() == [1, 2]


def test_a_named_column_that_is_not_there_is_refused_with_those_that_are(tmp_path, audio):
    csv = write(tmp_path, "path, label\nx.wav,a\n")
    with pytest.raises(
        UserError, match="`label_column=Species` is not a column of .*: it has the columns path, la"
    ):
        find(audio, metadata=csv, label_column="Species")


@pytest.mark.parametrize(
    ("named", "missing"), [("path_column", "label_column"), ("label_column", "path_column")]
)
def test_a_table_of_which_one_column_is_named_needs_the_name_of_the_other(
    tmp_path, audio, named, missing
):
    csv = write(tmp_path, "Datei,Art\nx.wav,a\n")
    column = {"path_column": "Datei", "label_column": "Art"}[named]
    with pytest.raises(UserError, match=f"or its own names in `{missing}`$"):
        find(audio, metadata=csv, **{named: column})


def test_a_table_without_labels_adds_to_the_class_folders(tmp_path):
    root = make(tmp_path / "audio", "a/x.wav", "a/y.wav", "b/z.wav")
    csv = write(tmp_path, "path,site\na/x.wav,s1\nb/z.wav,s1\nb/gone.wav,s2\n")
    sources = find(root, metadata=csv, recording_column="site")
    assert sources.clips["label"].tolist() == ["a", "a", "b"]
    assert sources.clips["recording"].tolist() == ["s1", "a/y.wav", "s1"]
    assert sources.rejected["reason"].tolist() == [
        f"{csv} line 4: no audio file of this name below {root}"
    ]
    assert "audio files not in clips.csv: 1" in sources.notes


@pytest.mark.parametrize(
    "cells",
    [
        (".\\x.wav", ".\\deep\\er\\y.flac"),
        ("audio/x.wav", "audio/deep/er/y.flac"),
        ("C:\\data\\x.wav", "C:\\data\\deep\\er\\y.flac"),
        ("x.WAV", "deep/er/y.FLAC"),
        ("X", "deep/er/y"),
        ("x.mp3", "y.mp3"),
    ],
    ids=["windows", "folder above", "absolute on windows", "case", "no ending", "other ending"],
)
@pytest.mark.parametrize("header", ["path,label", " Path , LABEL "])
def test_paths_are_found_however_they_are_written(tmp_path, audio, cells, header):
    csv = write(tmp_path, f"{header}\n{cells[0]},a\n{cells[1]}, b\n")
    sources = find(audio, metadata=csv)
    assert sources.clips["clip_id"].tolist() == ["deep/er/y.flac", "x.wav"]
    assert sources.clips["label"].tolist() == ["b", "a"]
    assert sources.rejected.empty


def test_two_rows_of_one_file_are_refused_however_they_are_written(tmp_path, audio):
    csv = write(tmp_path, "path,label\nx.wav,a\nX,b\n")
    with pytest.raises(UserError, match="line 3 repeats x.wav: keep one row per clip"):
        find(audio, metadata=csv)


def test_spaces_make_neither_classes_nor_recordings(tmp_path, audio):
    csv = write(
        tmp_path, "path,label,recording\nx.wav, hum,r0\nz.wav,hum,r0 \ndeep/er/y.flac,b,r1\n"
    )
    clips = find(audio, metadata=csv).clips
    assert set(clips["label"]) == {"hum", "b"}
    assert clips["recording"].tolist() == ["r1", "r0", "r0"]


def test_a_guessed_encoding_is_said(tmp_path, audio):
    (tmp_path / "clips.csv").write_bytes("path,label\nx.wav,café\nz.wav,b\n".encode("cp1252"))
    sources = find(audio, metadata=str(tmp_path / "clips.csv"))
    assert sources.clips["label"].tolist() == ["café", "b"]
    assert "clips.csv is not UTF-8 and was read as Windows-1252" in sources.notes


def test_a_list_of_sounds_inside_of_files_is_refused_with_the_setting_to_use(tmp_path, audio):
    csv = write(tmp_path, "path,Start_s,end_s,label\nx.wav,0,1,a\nz.wav,1,2,b\n")
    with pytest.raises(UserError, match=r"columns Start_s and end_s.*give it as `annotations`"):
        find(audio, metadata=csv)


@pytest.mark.parametrize(("separator", "refused"), [(",", True), (";", False)])
def test_a_semicolon_in_a_label_needs_the_default_separator(tmp_path, audio, separator, refused):
    csv = write(tmp_path, "path\tlabel\nx.wav\tb;a\nz.wav\tc\n")
    if refused:
        with pytest.raises(UserError, match=r"line 2: label 'b;a' must not contain ';'"):
            find(audio, metadata=csv, label_separator=separator)
    else:
        clips = find(audio, metadata=csv, label_separator=separator).clips
        assert clips["label"].tolist() == ["a;b", "c"]
