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
        ("path,class\nx.wav,1\n", "has the columns path, class: it needs path, label"),
        (
            "slice_file_name,fsID\nother.wav,1\n",
            "names none of the 4 clips .* begins with other.wav, the clips with ",
        ),
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
        ("path,label\n/data/x.wav,a\n", "no labeled clips.*1 were rejected, .* /data/x.wav"),
    ],
    ids=[
        "missing", "empty", "unclosed", "columns", "no label", "other clips", "repeated",
        "repeated path", "fold", "split", "one class", "one class to learn", "unquoted comma",
        "column twice", "two labels", "label is a path", "huge fold", "absolute paths",
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
