"""Clips that are appended to a dataset."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile

from freqquest.dataset import write
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import UNFINISHED_NAME, load_manifest
from freqquest.dataset.read import read_rows
from freqquest.dataset.verify import verify_dataset
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone
from tests.splits import read_split


def add(folder, label, recording, count):
    """Write clips of a recording, as UrbanSound8K names them, that are equal to no other."""
    (folder / label).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"{recording}-{['low', 'high', label].index(label)}-7-{number}.wav"
        soundfile.write(folder / label / name, tone(float(recording) + number / 3), RATE_HZ)


@pytest.fixture
def grown(local_ray, audio_dir, tmp_path):
    """Settings of a dataset, and its folder of clips, which has grown since it was made."""
    folder = tmp_path / "clips"
    shutil.copytree(audio_dir, folder)
    config = PreprocessConfig(
        audio_dir=str(folder), dataset_dir=str(tmp_path / "dataset"), clips_per_shard=6
    )
    write_dataset(config)
    known = read_rows(locate(config.dataset_dir), load_manifest(locate(config.dataset_dir)))
    of_validation = known[known["split"] == "validation"].iloc[0]
    add(folder, of_validation["label"], of_validation["recording"], 2)
    for number in range(8):
        add(folder, "low" if number % 2 else "high", 900 + number, 2)
    return replace(config, append=True), folder


def files(dataset_dir):
    return {path: path.read_bytes() for path in sorted(Path(dataset_dir).rglob("*.parquet"))}


def rows_of(config):
    dataset = locate(config.dataset_dir)
    return read_rows(dataset, load_manifest(dataset))


def test_new_clips_get_shards_of_their_own_and_known_ones_keep_theirs(grown):
    config, _ = grown
    before, earlier = files(config.dataset_dir), load_manifest(locate(config.dataset_dir))
    known = rows_of(config).set_index("clip_id")["split"]
    manifest = write_dataset(config)
    after, rows = files(config.dataset_dir), rows_of(config)
    assert before.items() <= after.items()
    assert len(after) > len(before)
    assert manifest.shards == sorted(
        manifest.shards, key=lambda shard: (list(manifest.num_rows).index(shard.split), shard.name)
    )
    assert len(rows) == len(known) + 18
    assert rows["clip_id"].is_unique
    assert (rows.set_index("clip_id")["split"][known.index] == known).all()
    assert rows.groupby("recording")["split"].nunique().max() == 1
    new = rows[~rows["clip_id"].isin(known.index)]
    assert (new["split"] == "validation").sum() > 2  # those of the known recording, and others
    assert (new["split"] == "train").sum() >= 8
    counted = rows.groupby(["split", "label"]).size()
    for (split, label), count in counted.items():
        assert manifest.num_clips[split][label] == count
    assert manifest.num_recordings["train"]["low"] > earlier.num_recordings["train"]["low"]
    assert sum(manifest.num_rows.values()) == len(rows)
    assert manifest.content_sha256 != earlier.content_sha256
    assert "appended: 18 to 20 clips" in manifest.notes
    verify_dataset(config.dataset_dir)


def test_statistics_are_those_of_all_training_clips(grown):
    config, _ = grown
    manifest = write_dataset(config)
    dataset = locate(config.dataset_dir)
    spectrograms = read_split(dataset, manifest, "train", "cnn").spectrograms.astype(np.float64)
    assert manifest.normalization["cnn"].mean == pytest.approx(spectrograms.mean(), abs=1e-3)
    assert manifest.normalization["cnn"].standard_deviation == pytest.approx(
        spectrograms.std(), abs=1e-3
    )


def test_the_earlier_manifest_is_kept_and_still_describes_its_shards(grown):
    config, _ = grown
    earlier = load_manifest(locate(config.dataset_dir))
    write_dataset(config)
    folder = locate(config.dataset_dir)
    kept = json.loads((folder / "manifest.1.json").read_text())
    assert [shard["sha256"] for shard in kept["shards"]] == [
        shard.sha256 for shard in earlier.shards
    ]


def test_the_same_command_again_adds_nothing_and_needs_no_ray(grown, monkeypatch):
    config, _ = grown
    manifest = write_dataset(config)
    monkeypatch.setattr(write.preflight, "connect", lambda _: pytest.fail("Ray was started"))
    assert write_dataset(config) == manifest
    assert write_dataset(replace(config, append=False)) == manifest
    assert not (locate(config.dataset_dir) / "manifest.2.json").exists()


def test_a_new_class_comes_after_the_known_ones(grown):
    config, folder = grown
    for number in range(4):
        add(folder, "a new one", 800 + number, 2)
    manifest = write_dataset(config)
    assert manifest.classes == ["high", "low", "a new one"]
    rows = rows_of(config)
    indices = rows.groupby("label")["class_index"].agg(["min", "max"])
    assert indices.loc["a new one"].tolist() == [2, 2]
    assert indices.loc["low"].tolist() == [1, 1]
    assert set(rows["split"][rows["label"] == "a new one"]) == {"train", "validation"}


def test_a_new_class_of_one_recording_is_refused_and_the_dataset_stays(grown):
    config, folder = grown
    before = load_manifest(locate(config.dataset_dir))
    add(folder, "new", 800, 2)
    with pytest.raises(UserError, match="class new has only one recording"):
        write_dataset(config)
    assert load_manifest(locate(config.dataset_dir)) == before


def test_files_that_are_gone_stay_in_the_dataset_and_are_counted(grown):
    config, folder = grown
    gone = sorted((folder / "low").glob("*.wav"))[0]
    gone.unlink()
    manifest = write_dataset(config)
    assert "gone: 1 files of the dataset are not in the folder any more" in manifest.notes
    assert str(gone) in set(rows_of(config)["path"])


def test_rejected_files_are_tried_again(grown):
    config, folder = grown
    broken = folder / "high" / "900-1-7-0.wav"
    broken.write_bytes(b"no audio")
    first = write_dataset(replace(config, max_quarantined_fraction=0.5))
    assert first.num_quarantined == 1
    soundfile.write(broken, tone(440.0), RATE_HZ)
    second = write_dataset(config)
    assert second.num_quarantined == 0
    assert sum(second.num_rows.values()) == sum(first.num_rows.values()) + 1
    assert str(broken) in set(rows_of(config)["path"])


def test_other_settings_are_refused(grown):
    config, _ = grown
    with pytest.raises(UserError, match="`append`: the dataset was made differently: duration=2"):
        write_dataset(replace(config, duration=2.0))


def test_a_dataset_that_is_older_than_a_setting_takes_clips(grown):
    config, _ = grown
    file = locate(config.dataset_dir) / "manifest.json"
    content = json.loads(file.read_text())
    del content["settings"]["min_frequency"]
    file.write_text(json.dumps(content))
    assert "appended: 18 to 20 clips" in write_dataset(config).notes


def test_a_dataset_is_needed(grown, tmp_path):
    config, _ = grown
    with pytest.raises(UserError, match="is not a dataset"):
        write_dataset(replace(config, dataset_dir=str(tmp_path / "other")))


def test_an_interrupted_job_leaves_the_dataset_as_it_was_and_goes_on(grown):
    config, _ = grown
    before = load_manifest(locate(config.dataset_dir))
    interruption = mock.patch.object(write, "_write_warnings", side_effect=KeyboardInterrupt)
    with interruption, pytest.raises(KeyboardInterrupt):
        write_dataset(config)
    dataset = locate(config.dataset_dir)
    assert (dataset / UNFINISHED_NAME).is_file()
    assert load_manifest(dataset) == before
    made = {path: path.stat().st_mtime_ns for path in files(config.dataset_dir)}
    write_dataset(config)
    assert {path: path.stat().st_mtime_ns for path in files(config.dataset_dir)} == made
    assert not (dataset / UNFINISHED_NAME).exists()


def test_folds_decide_where_new_clips_go(local_ray, audio_dir, tmp_path):
    folder, table = tmp_path / "clips", tmp_path / "clips.csv"
    shutil.copytree(audio_dir, folder)

    def write_table():
        paths = sorted(folder.rglob("*.wav"))
        lines = [f"{path.name},{path.parent.name},{int(path.name[:3]) % 5}" for path in paths]
        table.write_text("\n".join(["path,label,fold", *lines]))

    write_table()
    config = PreprocessConfig(
        audio_dir=str(folder),
        metadata=str(table),
        validation_fold=2,
        dataset_dir=str(tmp_path / "dataset"),
    )
    write_dataset(config)
    for number in range(8):
        add(folder, "low" if number % 2 else "high", 900 + number, 1)
    write_table()
    write_dataset(replace(config, append=True))
    rows = rows_of(config)
    assert len(rows) == 28
    assert ((rows["split"] == "validation") == (rows["fold"] == 2)).all()


def test_new_sounds_of_a_known_file_are_refused(local_ray, tmp_path):
    folder, table = tmp_path / "clips", tmp_path / "sounds.csv"
    folder.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).normal(0, 0.1, 9 * RATE_HZ)
        soundfile.write(folder / f"{number}.wav", noise, RATE_HZ)
    sounds = [
        f"{number}.wav,{start},{start + 3},{label}"
        for number in range(4)
        for start, label in ((0, "a"), (4, "b"))
    ]
    header = "path,start_s,end_s,label"
    table.write_text("\n".join([header, *sounds]))
    config = PreprocessConfig(
        audio_dir=str(folder), annotations=str(table), dataset_dir=str(tmp_path / "dataset")
    )
    write_dataset(config)
    assert write_dataset(replace(config, append=True)).num_rows["train"] > 0
    table.write_text("\n".join([header, *sounds, "2.wav,7.5,8.5,a"]))
    with pytest.raises(UserError, match="`append`: the sound at 7.5 s of .*2.wav is new, but the"):
        write_dataset(replace(config, append=True))


def test_recordings_that_are_named_otherwise_now_are_refused(grown):
    config, folder = grown
    soundfile.write(folder / "low" / "without a recording.wav", tone(700.0), RATE_HZ)
    with pytest.raises(UserError, match=r"`append`: the recording of .* is .* now, and \d+ in the"):
        write_dataset(config)
