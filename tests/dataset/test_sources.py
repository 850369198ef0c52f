import os

import pytest

from freqquest.dataset.config import DatasetSettings
from freqquest.dataset.sources import find_extra, find_labeled, find_unlabeled
from freqquest.errors import UserError


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name} is not decoded here")
    return str(root)


def find(audio_dir, **settings):
    return find_labeled(DatasetSettings(**settings), str(audio_dir))


def clips_of(audio_dir, **settings):
    return find(audio_dir, **settings).clips


def test_the_folder_is_the_label_and_the_file_name_gives_the_recording(tmp_path):
    clips = clips_of(
        make(tmp_path, "siren/12-8-0-1.wav", "siren/12-8-0-2.WAV", "more/straße/7-0-0-0.flac")
    )
    assert clips["clip_id"].tolist() == [
        "more/straße/7-0-0-0.flac",
        "siren/12-8-0-1.wav",
        "siren/12-8-0-2.WAV",
    ]
    assert clips["label"].tolist() == ["straße", "siren", "siren"]
    assert clips["recording"].tolist() == ["7", "12", "12"]
    assert clips["fold"].isna().all()


def test_urbansound_metadata_gives_recordings_and_folds_for_any_file_ending(tmp_path):
    root = make(tmp_path / "audio", "a/x.flac", "b/y.flac")
    csv = tmp_path / "meta.csv"
    csv.write_text(
        "slice_file_name,fsID,fold,classID,class\nx.wav,77,1,0,a\ny.wav,78,2,1,b\nelsewhere.wav,79,2,1,b\n"
    )
    clips = clips_of(root, metadata=str(csv))
    assert clips["recording"].tolist() == ["77", "78"]
    assert clips["fold"].tolist() == [1, 2]


def test_urbansound_metadata_gives_the_classes_of_fold_folders(tmp_path):
    root = make(tmp_path / "audio", "fold1/x.wav", "fold2/y.wav", "fold2/z.wav")
    csv = tmp_path / "meta.csv"
    csv.write_text(
        "slice_file_name,fsID,fold,class\nx.wav,1,1,siren\ny.wav,2,2,drilling\nz.wav,3,2,siren\n"
    )
    assert clips_of(root, metadata=str(csv))["label"].tolist() == ["siren", "drilling", "siren"]


def test_a_pattern_finds_the_recording_in_other_names(tmp_path):
    clips = clips_of(
        make(tmp_path, "a/session7_take1.wav", "b/session8_take1.wav"),
        recording_pattern=r"session(\d+)_",
    )
    assert clips["recording"].tolist() == ["7", "8"]
    named = clips_of(tmp_path, recording_pattern=r"(?P<recording>session\d+)_")
    assert named["recording"].tolist() == ["session7", "session8"]


def test_a_pattern_takes_precedence_over_urbansound_names(tmp_path):
    clips = clips_of(
        make(tmp_path, "a/2021-05-03-1.wav", "b/2021-06-03-1.wav"), recording_pattern=r"^(\d+-\d+)"
    )
    assert clips["recording"].tolist() == ["2021-05", "2021-06"]


def test_hidden_files_and_files_that_are_not_audio_are_skipped(tmp_path):
    clips = clips_of(
        make(tmp_path, "a/x.wav", "a/readme.txt", "b/y.wav", "b/.z.wav", ".git/config")
    )
    assert clips["clip_id"].tolist() == ["a/x.wav", "b/y.wav"]


def test_folders_that_systems_add_are_skipped(tmp_path):
    make(tmp_path, "a/x.wav", "b/y.wav", "lost+found/z.wav", "__MACOSX/a/x.wav", "@eaDir/u.wav")
    assert clips_of(tmp_path)["clip_id"].tolist() == ["a/x.wav", "b/y.wav"]


def test_clips_in_object_storage_are_found_as_local_ones_are(s3_clips, audio_dir):
    remote, local = find(s3_clips), find(audio_dir)
    same = ["clip_id", "label", "recording", "num_bytes"]
    assert remote.clips[same].equals(local.clips[same])
    assert remote.clips["path"].tolist() == [
        f"{s3_clips}/{name}" for name in local.clips["clip_id"]
    ]
    assert remote.notes == local.notes


def test_names_may_contain_any_text(tmp_path):
    names = [
        "söder/Ωδή 1.WAV",
        "söder/👩‍🚒.wav",
        "b/" + "x" * 200 + ".Flac",
        "b/new\nline.wav",
        "b/=1+1.wav",
    ]
    assert set(clips_of(make(tmp_path, *names))["clip_id"]) == set(names)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    make(tmp_path, "a/x.wav", "b/y.wav")
    try:
        (tmp_path / "b").joinpath(b"caf\xe9.wav".decode(errors="surrogateescape")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system allows only UTF-8 names")
    rejected = find(tmp_path).rejected
    assert rejected["path"].tolist() == [f"{tmp_path}/b/caf\\udce9.wav"]
    assert "not valid UTF-8" in rejected["reason"][0]


def test_links_are_followed_only_to_files_inside_the_folder(tmp_path):
    root = tmp_path / "audio"
    make(root, "a/x.wav", "b/y.wav")
    make(tmp_path, "outside/secret.wav")
    (root / "a" / "fine.wav").symlink_to(root / "b" / "y.wav")
    for name, target in {
        "escape.wav": "/etc/passwd",
        "nowhere.wav": "missing.wav",
        "loop.wav": "loop.wav",
    }.items():
        (root / "a" / name).symlink_to(target)
    sources = find(root)
    assert sources.clips["clip_id"].tolist() == ["a/fine.wav", "a/x.wav", "b/y.wav"]
    reasons = dict(
        zip(
            sources.rejected["path"].str.rsplit("/", n=1).str[-1],
            sources.rejected["reason"],
            strict=True,
        )
    )
    assert reasons.keys() == {"escape.wav", "nowhere.wav", "loop.wav"}
    assert (
        reasons["escape.wav"]
        == f"link out of {root}: copy the file, or link it with ln (without -s)"
    )
    assert reasons["loop.wav"] == reasons["nowhere.wav"] == "circular or broken link"


@pytest.mark.parametrize("target", ["audio", "outside"])
def test_a_link_to_a_folder_stops_the_job_because_a_class_would_be_missing(tmp_path, target):
    root = tmp_path / "audio"
    make(root, "a/x.wav", "b/y.wav")
    make(tmp_path, "outside/z.wav")
    (root / "c").symlink_to(tmp_path / target)
    message = f"folder that cannot be read, .*/c .link to the folder .*/{target}, which is not"
    for find_clips in (find, lambda folder: find_unlabeled(str(folder))):
        with pytest.raises(UserError, match=f"`audio_dir=.*{message}.* or remove it"):
            find_clips(root)


def test_a_folder_that_may_not_be_read_stops_the_job(tmp_path, monkeypatch):
    root = make(tmp_path, "a/x.wav", "b/y.wav", "c/z.wav")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/c"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="cannot be read, .*/c .*Permission denied.* make it"):
        find(root)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no class folders: put clips into .*/<class>/"),
        (
            ["loose.wav"],
            "holds loose.wav directly: put each clip into a folder named for its class",
        ),
        (
            ["a/x.wav", "b/notes.txt"],
            r"class folder .*/b has no audio \(it holds 1 .txt; audio is .wav .* and others\): add",
        ),
        (["a/x.wav"], r"has only one class \(a\): a classifier needs two or more"),
    ],
    ids=["no class folders", "loose clips", "class without audio", "one class"],
)
def test_a_folder_that_cannot_make_a_dataset_is_refused(tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        find(make(tmp_path, *names))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="`audio_dir=.*/nowhere` does not exist or is not a folder"):
        find(tmp_path / "nowhere")


def test_test_clips_are_sorted_and_have_no_labels(tmp_path):
    clips = find_unlabeled(make(tmp_path, "b.wav", "a.wav", "more/c.wav", "list.csv")).clips
    assert clips["clip_id"].tolist() == ["a.wav", "b.wav", "more/c.wav"]
    assert clips["label"].isna().all()
    assert set(clips["split"]) == {"test"}


def test_an_empty_test_folder_is_refused(tmp_path):
    with pytest.raises(
        UserError, match="`test_dir=.*` has no audio files .it holds 1 .txt; audio is .wav .mp3 "
    ):
        find_unlabeled(make(tmp_path, "readme.txt"), "test_dir")


def test_extra_clips_are_labeled_by_their_folder_or_their_name(tmp_path):
    root = make(
        tmp_path,
        "siren_0_000.wav",
        "dog_bark_12_003.WAV",
        "gun_2_1_000.wav",
        "dog_bark/any name.flac",
    )
    clips = find_extra(root, ["dog_bark", "gun_2", "siren"])
    assert dict(zip(clips["clip_id"], clips["label"], strict=True)) == {
        "siren_0_000.wav": "siren",
        "dog_bark_12_003.WAV": "dog_bark",
        "gun_2_1_000.wav": "gun_2",
        "dog_bark/any name.flac": "dog_bark",
    }
    assert find_extra(None, ["siren"]).empty


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["readme.txt"], "`extra_clips=.*` has no audio files"),
        (
            ["siren/a.wav", "dog/notes.txt"],
            "class folder .*/dog has no audio .*: add clips or remove it",
        ),
        (
            ["cat_0_000.wav"],
            "/cat_0_000.wav has the label 'cat', but must have one of: dog, siren; name its folder",
        ),
        (
            ["siren/a.wav", "cat/b.wav"],
            "/cat/b.wav has the label 'cat', but must have one of: dog, siren",
        ),
        (
            ["siren.wav"],
            "/siren.wav has no label, but needs one of: .*, or the clip <label>_<seed>_<index>.wav",
        ),
    ],
    ids=["no audio", "class without audio", "unknown name", "unknown folder", "no label"],
)
def test_extra_clips_that_cannot_be_used_are_refused(tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        find_extra(make(tmp_path, *names), ["dog", "siren"])


def test_missing_extra_clips_and_links_are_refused(tmp_path):
    with pytest.raises(UserError, match="`extra_clips=.*/nowhere` does not exist"):
        find_extra(str(tmp_path / "nowhere"), ["dog"])
    (tmp_path / "dog_0_000.wav").symlink_to("/etc/passwd")
    with pytest.raises(
        UserError, match="dog_0_000.wav cannot be read .link out of .* fix or remove it"
    ):
        find_extra(str(tmp_path), ["dog"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("x" * 260, "b"), "label 'xxx.*x'... is 260 bytes long, but must have at most 200"),
        (("ü" * 101, "b"), "is 202 bytes long"),
        ((".x", "b"), "label '.x' cannot be a file name: .* do not begin it with . or __MACOSX"),
        (("a/b", "b"), "label 'a/b' cannot be a file name: use no slashes"),
    ],
    ids=["characters", "bytes", "hidden", "slash"],
)
def test_labels_that_cannot_be_in_file_names_are_refused(tmp_path, labels, message):
    root = make(tmp_path / "audio", "0.wav", "1.wav")
    rows = "".join(f"{number}.wav,{label}\n" for number, label in enumerate(labels))
    (tmp_path / "m.csv").write_text(f"path,label\n{rows}")
    with pytest.raises(UserError, match=message):
        find(root, metadata=str(tmp_path / "m.csv"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Dog", "dog"),
        ("dog bark", "dog  bark"),
        ("caf\u00e9", "cafe\u0301"),
        ("dog bark", "dogbark"),
    ],
    ids=["case", "spaces", "unicode", "no space"],
)
def test_labels_that_are_probably_one_class_are_a_warning(tmp_path, first, second):
    root = make(tmp_path, f"{first}/x.wav", f"{second}/y.wav", "siren/z.wav")
    a, b = sorted([repr(first), repr(second)])
    assert (
        f"warning: the labels {a}, {b} differ only by letter case, spacing or Unicode form, and "
        "are different classes"
    ) in find(root).notes
    assert not [
        note
        for note in find(make(tmp_path / "other", "a/x.wav", "b/y.wav")).notes
        if "warning" in note
    ]


def test_every_file_that_is_no_clip_is_counted_by_its_ending(tmp_path):
    make(tmp_path, "a/x.wav", "b/y.wav", "a/x.txt", "b/y.TXT", "b/LICENSE", "list.csv")
    assert find(tmp_path).notes[-1] == "other files: 2 .txt, 1 no ending, 1 .csv"
    assert find_unlabeled(str(tmp_path)).notes == ["other files: 2 .txt, 1 no ending, 1 .csv"]
    make(tmp_path, *(f"a/{number}.{ending}" for number, ending in enumerate("bcdefghijklm")))
    assert find(tmp_path).notes[-1].endswith(", 3 others")
