"""Known data sets and folder layouts: folders of the same shape, with files that are no audio."""

import pytest

from freqquest.errors import UserError
from tests.dataset.test_sources import find, make
from tests.layout_folders import (
    BIRDCLEF_HEADER,
    ESC_HEADER,
    FSD50K_HEADER,
    FSDKAGGLE_HEADER,
    URBANSOUND_HEADER,
)


def write(root, **tables):
    for name, text in tables.items():
        root.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        root.joinpath(name).write_text(text)
    return root


def column(sources, name):
    return sources.clips.set_index("clip_id")[name].dropna().to_dict()


def has_note(sources, beginning):
    return any(note.startswith(beginning) for note in sources.notes)


URBANSOUND_CSV = URBANSOUND_HEADER + (
    "1-0-0-0.wav,1,0,4,1,1,0,air_conditioner\n2-3-0-0.wav,2,0,4,1,2,3,dog_bark\n"
)


@pytest.fixture
def urbansound(tmp_path):
    make(tmp_path, "audio/fold1/1-0-0-0.wav", "audio/fold2/2-3-0-0.wav", "audio/fold1/.DS_Store")
    make(tmp_path, "FREESOUNDCREDITS.txt", "UrbanSound8K_README.txt")
    return write(tmp_path, **{"metadata/UrbanSound8K.csv": URBANSOUND_CSV})


def test_urbansound8k_is_recognized_as_downloaded(urbansound):
    sources = find(urbansound)
    assert column(sources, "label") == {
        "audio/fold1/1-0-0-0.wav": "air_conditioner",
        "audio/fold2/2-3-0-0.wav": "dog_bark",
    }
    assert list(column(sources, "recording").values()) == ["1", "2"]
    assert list(column(sources, "fold").values()) == [1, 2]
    assert sources.clips["path"][0] == f"{urbansound}/audio/fold1/1-0-0-0.wav"
    assert sources.rejected.empty
    assert sources.notes == [
        "layout: UrbanSound8K (metadata/UrbanSound8K.csv)",
        "recordings: from the column fsID of UrbanSound8K.csv, e.g. 1 of 1-0-0-0.wav, "
        "2 of 2-3-0-0.wav",
        "other files: 2 .txt, 1 .csv",
    ]


def test_the_folder_of_urbansound8k_s_audio_goes_with_its_csv(urbansound):
    sources = find(urbansound / "audio", metadata=f"{urbansound}/metadata/UrbanSound8K.csv")
    assert sources.notes[0] == "layout: UrbanSound8K (UrbanSound8K.csv)"
    assert list(column(sources, "label").values()) == ["air_conditioner", "dog_bark"]
    assert list(column(sources, "fold").values()) == [1, 2]


@pytest.mark.parametrize("folder", ["", "audio"])
def test_urbansound8k_without_its_csv_has_the_classes_of_its_names(urbansound, folder):
    (urbansound / "metadata/UrbanSound8K.csv").unlink()
    (urbansound / "metadata").rmdir()
    sources = find(urbansound / folder)
    assert list(column(sources, "label").values()) == ["air_conditioner", "dog_bark"]
    assert list(column(sources, "fold").values()) == [1, 2]
    assert list(column(sources, "recording").values()) == ["1", "2"]
    assert has_note(sources, "layout: UrbanSound8K without its CSV: labels from the class numbers")


def test_folders_of_folds_are_never_classes(tmp_path):
    make(tmp_path, "fold1/dog.wav", "fold2/cat.wav")
    with pytest.raises(UserError, match="folders fold1, fold2, which are no classes: give the CSV"):
        find(tmp_path)


def test_clips_and_rows_of_urbansound8k_without_the_other_are_quarantined(urbansound):
    make(urbansound, "audio/fold3/9-9-0-0.wav")
    csv = urbansound / "metadata/UrbanSound8K.csv"
    csv.write_text(csv.read_text() + "7-1-0-0.wav,7,0,4,1,1,1,car_horn\n")
    sources = find(urbansound)
    assert sources.rejected.to_dict("records") == [
        {
            "path": "7-1-0-0.wav",
            "reason": f"{csv} line 4: no audio file of this name below {urbansound}/audio",
        },
        {"path": f"{urbansound}/audio/fold3/9-9-0-0.wav", "reason": f"not in {csv}"},
    ]
    assert "audio files not in UrbanSound8K.csv: 1" in sources.notes
    assert set(column(sources, "label").values()) == {"air_conditioner", "dog_bark"}


ESC_CSV = ESC_HEADER + (
    "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
    "1-100032-B-0.wav,1,0,dog,True,100032,B\n"
    "2-100038-A-14.wav,2,14,chirping_birds,False,100038,A\n"
)


@pytest.mark.parametrize("is_given", [False, True])
def test_esc_50_has_its_categories_folds_and_source_files(tmp_path, is_given):
    make(tmp_path, "audio/1-100032-A-0.wav", "audio/1-100032-B-0.wav", "audio/2-100038-A-14.wav")
    write(tmp_path, **{"meta/esc50.csv": ESC_CSV})
    make(tmp_path, "meta/esc50-human.xlsx", "README.md", "LICENSE")
    if is_given:
        sources = find(tmp_path / "audio", metadata=f"{tmp_path}/meta/esc50.csv")
    else:
        sources = find(tmp_path)
        assert "other files: 1 no ending, 1 .md, 1 .xlsx, 1 .csv" in sources.notes
    assert list(column(sources, "label").values()) == ["dog", "dog", "chirping_birds"]
    assert list(column(sources, "recording").values()) == ["100032", "100032", "100038"]
    assert list(column(sources, "fold").values()) == [1, 1, 2]
    assert has_note(sources, "layout: ESC-50 (")
    assert has_note(sources, "recordings: from the column src_file of esc50.csv, e.g. 100032 of 1-")


@pytest.fixture
def speech(tmp_path):
    names = ("0a_nohash_0", "0a_nohash_1", "1b_nohash_0", "2c_nohash_0")
    make(tmp_path, *(f"{word}/{name}.wav" for word in ("yes", "no") for name in names))
    make(tmp_path, *(f"_background_noise_/{name}" for name in ("pink_noise.wav", "tap.wav")))
    make(tmp_path, "_background_noise_/README.md", "LICENSE")
    return write(
        tmp_path,
        **{
            "validation_list.txt": "yes/1b_nohash_0.wav\nno/1b_nohash_0.wav\ncat/1b_nohash_0.wav\n",
            "testing_list.txt": "yes/2c_nohash_0.wav\r\nno/2c_nohash_0.wav\r\n",
        },
    )


def test_speech_commands_has_the_splits_of_its_lists_and_speakers_as_recordings(speech):
    sources = find(speech)
    assert set(column(sources, "label").values()) == {"yes", "no", "_background_noise_"}
    assert sources.background_label == "_background_noise_"
    by_recording = sources.clips.groupby("recording")["split"].unique().map(list).to_dict()
    assert by_recording == {
        "0a": ["train"],
        "1b": ["validation"],
        "2c": ["test"],
        "_background_noise_/pink_noise.wav": ["train"],
        "_background_noise_/tap.wav": ["validation"],
    }
    assert sources.notes == [
        "layout: Speech Commands (validation_list.txt, testing_list.txt)",
        "files of these lists that are not there: 1",
        "recordings: from the speakers in the file names, e.g. 0a of 0a_nohash_0.wav, "
        "1b of 1b_nohash_0.wav",
        "background: recordings: unknown for 2 files, each counts as its own",
        "other files: 2 .txt, 1 no ending, 1 .md",
    ]


def test_without_its_lists_speakers_are_recordings_still(speech):
    for name in ("validation_list.txt", "testing_list.txt"):
        (speech / name).unlink()
    sources = find(speech)
    of_words = sources.clips[sources.clips["label"] != sources.background_label]
    assert set(of_words["recording"]) == {"0a", "1b", "2c"}
    assert column(sources, "split") == {}


def test_with_the_testing_list_alone_the_job_chooses_the_validation_clips(speech):
    (speech / "validation_list.txt").unlink()
    assert set(column(find(speech), "split").values()) == {"test"}


def test_fsd50k_has_the_splits_of_its_tables_and_several_labels(tmp_path):
    make(tmp_path, *(f"FSD50K.dev_audio/{name}.wav" for name in (1, 2, 3, 5)))
    make(tmp_path, "FSD50K.eval_audio/4.wav", "FSD50K.metadata/collection/info.json")
    write(
        tmp_path,
        **{
            "FSD50K.ground_truth/dev.csv": f"{FSD50K_HEADER}1,Bark,/m/1,train\n"
            "2,Meow,/m/2,val\n"
            '3,"Bark,Dog",/m/1,train\n5,Meow,/m/2,train\n',
            "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n4,Meow,/m/2\n",
            "FSD50K.ground_truth/vocabulary.csv": "0,Bark,/m/1\n",
        },
    )
    sources = find(tmp_path)
    assert column(sources, "split") == {
        "FSD50K.dev_audio/1.wav": "train",
        "FSD50K.dev_audio/2.wav": "validation",
        "FSD50K.dev_audio/3.wav": "train",
        "FSD50K.dev_audio/5.wav": "train",
        "FSD50K.eval_audio/4.wav": "test",
    }
    assert sources.rejected.empty
    assert column(sources, "label")["FSD50K.dev_audio/3.wav"] == "Bark;Dog"
    assert sources.notes[0] == (
        "layout: FSD50K (FSD50K.ground_truth/dev.csv, FSD50K.ground_truth/eval.csv)"
    )
    dev = tmp_path / "FSD50K.ground_truth/dev.csv"
    alone = find(tmp_path / "FSD50K.dev_audio", metadata=str(dev))
    assert list(column(alone, "label").values()) == ["Bark", "Meow", "Bark;Dog", "Meow"]


def test_fsdkaggle2018_has_the_uploads_as_recordings(tmp_path):
    make(tmp_path, "FSDKaggle2018.audio_train/00ad.wav", "FSDKaggle2018.audio_train/0b0.wav")
    make(tmp_path, "FSDKaggle2018.audio_test/ff.wav")
    write(
        tmp_path,
        **{
            "FSDKaggle2018.meta/train_post_competition.csv": FSDKAGGLE_HEADER
            + "00ad.wav,Hi-hat,77,CC0\n0b0.wav,Saxophone,78,CC0\n",
            "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv": (
                "fname,label,usage\nff.wav,Hi-hat,Public\n"
            ),
        },
    )
    sources = find(tmp_path)
    assert list(column(sources, "label").values()) == ["Hi-hat", "Hi-hat", "Saxophone"]
    assert list(column(sources, "split").values()) == ["test"]
    assert set(column(sources, "recording").values()) >= {"77", "78"}
    place = "the column freesound_id of train_post_competition.csv"
    assert has_note(sources, f"recordings: from {place}, e.g. 7")


@pytest.mark.parametrize(
    ("folder", "table", "names"),
    [
        ("audio_train", "fname,label,manually_verified\na.wav,dog,0\nb.wav,cat,1\n", "ab"),
        ("Train", "ID,Class\n1,dog\n2,cat\n", "12"),
        ("train", "id,label\n1,dog\n2,cat\n", "12"),
    ],
    ids=["FSDKaggle2018", "urban sound", "id,label"],
)
@pytest.mark.parametrize("is_given", [False, True])
def test_kaggle_tables_name_clips_with_or_without_ending(tmp_path, folder, table, names, is_given):
    make(tmp_path, *(f"{folder}/{name}.wav" for name in names), "Test/9.wav", "sample.csv")
    write(tmp_path, **{"train.csv": table})
    if is_given:
        sources = find(tmp_path / folder, metadata=f"{tmp_path}/train.csv")
    else:
        sources = find(tmp_path)
        assert sources.notes[0] == "layout: Kaggle (train.csv)"
        assert "set aside: 1 file without a table in Test" in sources.notes
    assert list(column(sources, "label").values()) == ["dog", "cat"]
    assert sources.rejected.empty


@pytest.mark.parametrize(
    ("table", "layout", "soundscapes", "folders"),
    [
        ("train_metadata.csv", "BirdCLEF", "test_soundscapes", ["abethr1/", "abhori1/"]),
        ("train_metadata.csv", "BirdCLEF", "test_soundscapes", ["", ""]),
        ("train.csv", "Kaggle", "train_soundscapes", ["abethr1/", "abhori1/"]),
    ],
    ids=["2023", "2020", "2025"],
)
def test_birdclef_has_its_primary_labels(tmp_path, table, layout, soundscapes, folders):
    make(tmp_path, "train_audio/abethr1/XC1.ogg", "train_audio/abhori1/XC2.ogg")
    make(tmp_path, f"{soundscapes}/soundscape_29201.ogg", "eBird_Taxonomy_v2021.csv")
    rows = (
        f"abethr1,[],['song'],4.3,Rolf,{folders[0]}XC1.ogg\n"
        f"abhori1,[],['call'],,Rolf,{folders[1]}XC2.ogg\n"
    )
    write(tmp_path, **{table: BIRDCLEF_HEADER + rows})
    sources = find(tmp_path)
    assert column(sources, "label") == {
        "train_audio/abethr1/XC1.ogg": "abethr1",
        "train_audio/abhori1/XC2.ogg": "abhori1",
    }
    assert sources.notes[:2] == [
        f"layout: {layout} ({table})",
        f"set aside: 1 file without a table in {soundscapes}",
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_folders_of_splits_keep_their_role(tmp_path, name):
    make(tmp_path, "train/dog/a.wav", "train/cat/b.wav", "test/dog/e.wav", "test/cat/f.wav")
    make(tmp_path, f"{name}/dog/c.wav", f"{name}/cat/d.wav")
    sources = find(tmp_path)
    assert column(sources, "split") == {
        "train/dog/a.wav": "train",
        "train/cat/b.wav": "train",
        f"{name}/dog/c.wav": "validation",
        f"{name}/cat/d.wav": "validation",
        "test/dog/e.wav": "test",
        "test/cat/f.wav": "test",
    }
    assert set(column(sources, "label").values()) == {"dog", "cat"}
    assert has_note(sources, "layout: class folders in the folders")


def test_test_clips_without_classes_are_kept_out_and_validation_is_chosen(tmp_path):
    make(tmp_path, "train/dog/a.wav", "train/cat/b.wav", "test/e.wav")
    sources = find(tmp_path)
    assert column(sources, "split") == {"test/e.wav": "test"}
    assert column(sources, "label") == {"train/dog/a.wav": "dog", "train/cat/b.wav": "cat"}


def test_folders_of_splits_without_class_folders_are_refused(tmp_path):
    make(tmp_path, "train/a.wav", "test/b.wav")
    with pytest.raises(UserError, match="folders test, train, and train/a.wav is in no class"):
        find(tmp_path)


def test_a_class_may_be_named_for_a_split(tmp_path):
    make(tmp_path, "train/a.wav", "bus/b.wav")
    assert set(column(find(tmp_path), "label").values()) == {"train", "bus"}


SPLIT_CLIPS = [f"{split}/{label}/x.wav" for split in ("train", "val", "test") for label in "ab"]


@pytest.mark.parametrize(
    "table", ["path,label\na/x.wav,c\nb/x.wav,d\n", "name,age\nx,1\n"], ids=["list", "other"]
)
def test_folders_of_splits_go_before_a_table_of_the_training_clips(tmp_path, table):
    make(tmp_path, *SPLIT_CLIPS)
    sources = find(write(tmp_path, **{"train.csv": table}))
    assert (
        list(column(sources, "split").values()) == ["test"] * 2 + ["train"] * 2 + ["validation"] * 2
    )
    assert set(column(sources, "label").values()) == {"a", "b"}
    assert "not used: train.csv (else give it as `metadata`)" in sources.notes


@pytest.mark.parametrize(
    "table",
    ["name,age\nx,1\n", "path,label\ngone.wav,c\n", "path,recording\na/x.wav,1\n", "path,label\n"],
    ids=["other columns", "other clips", "no labels", "no rows"],
)
def test_a_table_that_does_not_label_the_clips_is_not_used_where_folders_label_them(
    tmp_path, table
):
    make(tmp_path, "train/a/x.wav", "train/b/x.wav", "test/y.wav")
    sources = find(write(tmp_path, **{"train.csv": table}))
    assert column(sources, "label") == {"train/a/x.wav": "a", "train/b/x.wav": "b"}
    assert column(sources, "split") == {"test/y.wav": "test"}


def test_a_table_labels_clips_that_only_the_training_folder_groups(tmp_path):
    make(tmp_path, "train/1/x.wav", "train/2/y.wav", "test/z.wav")
    table = "path,label\n1/x.wav,dog\n2/y.wav,cat\n"
    sources = find(write(tmp_path, **{"train.csv": table}))
    assert set(column(sources, "label").values()) == {"dog", "cat"}


def test_a_table_without_labels_is_an_error_where_no_folders_label_the_clips(tmp_path):
    make(tmp_path, "train/x.wav", "train/y.wav")
    with pytest.raises(UserError, match=r"train.csv has the columns name, age: it needs path"):
        find(write(tmp_path, **{"train.csv": "name,age\nx,1\n"}))


@pytest.mark.parametrize("names", [("a;b/x.wav", "c/y.wav"), ("train/a;b/x.wav", "val/c/y.wav")])
def test_a_class_folder_that_looks_like_several_labels_is_refused(tmp_path, names):
    make(tmp_path, *names)
    with pytest.raises(UserError, match="class folder 'a;b' must not contain ';'.*rename the fol"):
        find(tmp_path)


def test_a_word_that_looks_like_several_labels_is_refused(speech):
    (speech / "no").rename(speech / "no;nay")
    with pytest.raises(UserError, match="class folder 'no;nay' must not contain ';'"):
        find(speech)


@pytest.mark.parametrize("labels", [("no", "yes"), ("class0", "class1")])
def test_speakers_inside_of_classes_are_recordings(tmp_path, labels):
    no, yes = labels
    make(tmp_path, *(f"{yes}/{name}.wav" for name in ("ann/1", "bob/1", "eve/1")))
    make(tmp_path, *(f"{no}/{name}.wav" for name in ("ann/1", "bob/2")))
    sources = find(tmp_path)
    assert list(column(sources, "label").values()) == [no, no, yes, yes, yes]
    assert list(column(sources, "recording").values()) == ["ann", "bob", "ann", "bob", "eve"]
    assert sources.notes[:2] == [
        "layout: class folders with a folder for each speaker or recording "
        "(if not, list the clips in `metadata`)",
        "recordings: from the folders in the class folders, e.g. ann of 1.wav, bob of 2.wav",
    ]


def test_numbered_folders_inside_of_classes_are_recordings_however_few(tmp_path):
    make(tmp_path, *(f"{label}/site{site}/x.wav" for label in ("dog", "cat") for site in (1, 2)))
    sources = find(tmp_path)
    assert set(column(sources, "label").values()) == {"dog", "cat"}
    assert set(column(sources, "recording").values()) == {"site1", "site2"}


def test_inner_folders_no_more_than_outer_ones_are_classes(tmp_path):
    make(tmp_path, *(f"{city}/{label}/x.wav" for city in ("rome", "paris") for label in "ab"))
    sources = find(tmp_path)
    assert set(column(sources, "label").values()) == {"a", "b"}
    assert sources.notes[0] == (
        "layout: class folders by the last folder (if not, list the clips in `metadata`)"
    )


@pytest.mark.parametrize("outer", [("site1", "site2"), ("2023-01", "2023-02"), ("0", "1")])
def test_numbered_folders_around_classes_are_no_classes(tmp_path, outer):
    make(tmp_path, *(f"{folder}/{label}/x.wav" for folder in outer for label in ("dog", "cat")))
    sources = find(tmp_path)
    assert set(column(sources, "label").values()) == {"dog", "cat"}
    assert sources.notes[0] == "layout: class folders"


def test_nested_class_folders_are_labels_by_their_last_folder(tmp_path):
    make(tmp_path, "animals/dog/a.wav", "animals/cat/b.wav", "traffic/bus/c.wav")
    assert set(column(find(tmp_path), "label").values()) == {"dog", "cat", "bus"}
