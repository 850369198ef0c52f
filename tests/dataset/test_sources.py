import pandas as pd
import pytest

from freqquest.dataset.sources import find_labelled, find_unlabelled
from freqquest.errors import UserError


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not decoded here")
    return str(root)


def test_the_label_is_the_folder_and_the_recording_comes_from_the_name(tmp_path):
    clips = find_labelled(make(tmp_path, "siren/12-8-0-1.wav", "siren/12-8-0-2.WAV", "fold 1/straße/ü.flac"))
    assert clips["clip_id"].tolist() == ["fold 1/straße/ü.flac", "siren/12-8-0-1.wav", "siren/12-8-0-2.WAV"]
    assert clips["label"].tolist() == ["straße", "siren", "siren"]
    assert clips["recording"].tolist() == ["fold 1/straße/ü.flac", "12", "12"]
    assert clips["fold"].isna().all()


def test_metadata_gives_recordings_and_folds_whatever_the_files_ending(tmp_path):
    root = make(tmp_path / "audio", "a/x.flac", "b/y.flac")
    csv = tmp_path / "meta.csv"
    csv.write_text("slice_file_name,fsID,fold,classID,class\nx.wav,77,1,0,a\ny.wav,78,2,1,b\nelsewhere.wav,79,2,1,b\n")
    clips = find_labelled(root, str(csv))
    assert clips["recording"].tolist() == ["77", "78"]
    assert clips["fold"].tolist() == [1, 2]


def test_a_pattern_names_the_recording_of_other_names(tmp_path):
    clips = find_labelled(make(tmp_path, "a/session7_take1.wav", "b/session8_take1.wav"), None, r"session(\d+)_")
    assert clips["recording"].tolist() == ["7", "8"]


def test_files_that_are_no_audio_and_hidden_ones_are_left_out(tmp_path):
    clips = find_labelled(make(tmp_path, "a/x.wav", "a/readme.txt", "b/y.wav", "b/.z.wav", ".git/config"))
    assert clips["clip_id"].tolist() == ["a/x.wav", "b/y.wav"]


def test_links_to_folders_are_not_followed(tmp_path):
    root = make(tmp_path / "audio", "a/x.wav", "b/y.wav")
    (tmp_path / "audio" / "a" / "loop").symlink_to(tmp_path / "audio")
    assert len(find_labelled(root)) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no class folders: expected <audio-dir>/<class>/<clip>.wav"),
        (["loose.wav"], "holds loose.wav directly: put each clip into a folder named for its class"),
        (["a/x.wav", "b/notes.txt"], "class folder .*/b has no audio: add clips"),
        (["a/x.wav"], r"has one class only \(a\): a classifier needs at least two"),
    ],
    ids=["no class folders", "loose clips", "class without audio", "one class"],
)
def test_a_folder_that_makes_no_dataset_is_refused(tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        find_labelled(make(tmp_path, *names))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="--audio-dir .*/nowhere does not exist"):
        find_labelled(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist or is not a file"),
        ("file,id\nx.wav,1\n", "lacks the column slice_file_name, fsID; it has file, id"),
        ("slice_file_name,fsID\nother.wav,1\n", "names none of the 2 clips"),
        ("slice_file_name,fsID\nx.wav,1\nx.wav,2\n", "line 3 names x a second time"),
        ("slice_file_name,fsID,fold\nx.wav,1,fold1\n", "line 2: fold 'fold1' is not a whole number"),
        ("", "is not a readable CSV"),
    ],
    ids=["missing", "columns", "other clips", "repeated", "fold", "empty"],
)
def test_metadata_that_cannot_be_used_is_refused(tmp_path, content, message):
    root = make(tmp_path / "audio", "a/x.wav", "b/y.wav")
    if content is not None:
        (tmp_path / "meta.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        find_labelled(root, str(tmp_path / "meta.csv"))


def test_test_clips_are_listed_sorted_without_labels(tmp_path):
    clips = find_unlabelled(make(tmp_path, "b.wav", "a.wav", "more/c.wav", "list.csv"))
    assert clips["clip_id"].tolist() == ["a.wav", "b.wav", "more/c.wav"]
    assert isinstance(clips, pd.DataFrame)
    assert clips["label"].isna().all()


def test_an_empty_test_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no audio files"):
        find_unlabelled(make(tmp_path, "readme.txt"))
