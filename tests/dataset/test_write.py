"""The dataset on disk: its contract, unreadable clips, and folders that hold something else."""

import json
import math
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from freqquest.audio.decode import load_clip
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, log_mel
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest, sha256
from freqquest.dataset.plan import plan_dataset
from freqquest.dataset.views import RECIPE_CLIP as CLIP
from freqquest.dataset.views import RECIPE_VIEWS as VIEWS
from freqquest.dataset.write import _divide, _write_planned, write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.splits import read_split

COLUMNS = [
    "clip_id",
    "path",
    "start_s",
    "end_s",
    "label",
    "class_index",
    "class_indices",
    "recording",
    "fold",
    "split",
    "augmentation",
    "cnn",
    "cgan",
]


def test_shards_are_read_by_plain_pyarrow_and_pandas_without_ray(dataset_dir):
    code = f"""
import sys
import numpy as np, pandas as pd, pyarrow.parquet as pq
table = pq.read_table({str(dataset_dir / "train")!r} + "/part-00000.parquet")
assert table.column_names == {COLUMNS}, table.column_names
assert table.schema.field("cnn").type.value_type == "halffloat"
shape = list(table.schema.field("cgan").type.shape)
assert shape == [{CGAN_VIEW.num_mels}, 345]  # the frames that four seconds fill
spectrograms = table["cnn"].chunk(0).to_numpy_ndarray()
assert spectrograms.shape == (7, {CNN_VIEW.num_mels}, {CNN_VIEW.num_frames})
frame = pd.read_parquet({str(dataset_dir / "train")!r} + "/part-00000.parquet")
assert len(frame) == 7
assert frame["cnn"][0].dtype == np.float16
assert frame["cnn"][0].shape == ({CNN_VIEW.num_mels * CNN_VIEW.num_frames},)
whole = pd.read_parquet({str(dataset_dir / "train")!r})
assert len(whole) == 32
whole["cnn"][0].reshape({CNN_VIEW.num_mels}, {CNN_VIEW.num_frames})
assert "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ray_data_reads_the_shards(dataset_dir):
    import ray.data

    batch = (
        ray.data.read_parquet(str(dataset_dir / "train"))
        .select_columns(["label", "cnn"])
        .take_batch(5)
    )
    assert batch["cnn"].shape == (5, CNN_VIEW.num_mels, CNN_VIEW.num_frames)
    assert batch["cnn"].dtype == np.float16


def test_float16_is_as_precise_as_documented(dataset_dir, audio_dir):
    manifest = load_manifest(locate(dataset_dir))
    for view, settings in VIEWS.items():
        stored = read_split(locate(dataset_dir), manifest, "validation", view)
        for clip_id, spectrogram in zip(stored.clip_ids, stored.spectrograms, strict=True):
            with (audio_dir / clip_id).open("rb") as stream:
                exact = log_mel(load_clip(stream, CLIP).waveform, settings, CLIP.sample_rate_hz)
            error = np.abs(spectrogram.astype(np.float32) - exact)
            if view == "cnn":
                assert error.max() <= 1 / 32  # dB
            else:
                assert (error <= exact / 2048 + 1e-7).all()


def test_only_training_clips_have_copies_and_copies_are_marked(dataset_dir):
    train = pd.concat(
        pd.read_parquet(path, columns=["augmentation"])
        for path in (dataset_dir / "train").glob("*")
    )
    assert train["augmentation"].value_counts().to_dict() == {"none": 16, "pitch speed, copy 1": 16}
    validation = pd.concat(pd.read_parquet(path) for path in (dataset_dir / "validation").glob("*"))
    assert set(validation["augmentation"]) == {"none"}


def test_unreadable_clips_are_listed_with_the_reason(dataset_dir):
    rejected = pd.read_csv(dataset_dir / "quarantine.csv")
    assert len(rejected) == 1
    assert rejected["path"][0].endswith("broken.wav")
    assert "not readable as audio" in rejected["reason"][0]


def test_the_same_settings_give_the_same_bytes_and_a_rerun_changes_nothing(
    dataset_dir, audio_dir, unlabeled_dir, tmp_path
):
    settings = {
        "audio_dir": str(audio_dir),
        "test_dir": str(unlabeled_dir),
        "num_augmented_copies": 1,
        "clips_per_shard": 7,
    }
    again = write_dataset(PreprocessConfig(dataset_dir=str(tmp_path / "again"), **settings))
    assert again.shards == load_manifest(locate(dataset_dir)).shards
    written = (tmp_path / "again" / "manifest.json").stat().st_mtime_ns
    assert write_dataset(PreprocessConfig(dataset_dir=str(tmp_path / "again"), **settings)) == again
    assert (tmp_path / "again" / "manifest.json").stat().st_mtime_ns == written


def test_other_settings_or_clips_are_refused_naming_the_difference(
    copy_of_dataset, audio_dir, unlabeled_dir, tmp_path
):
    same = {"dataset_dir": str(copy_of_dataset), "num_augmented_copies": 1, "clips_per_shard": 7}
    with pytest.raises(UserError, match=r"made differently: seed=3.*`overwrite=True`"):
        write_dataset(
            PreprocessConfig(audio_dir=str(audio_dir), test_dir=str(unlabeled_dir), seed=3, **same)
        )
    with pytest.raises(
        UserError,
        match="made differently: the clips .files, sizes or modification times., their labels",
    ):
        write_dataset(PreprocessConfig(audio_dir=str(audio_dir), **same))


def test_spectrograms_of_another_version_of_freqquest_are_refused(
    copy_of_dataset, audio_dir, unlabeled_dir
):
    path = copy_of_dataset / "manifest.json"
    path.write_text(path.read_text().replace('"top_db": 80.0', '"top_db": 60.0', 1))
    same = {"num_augmented_copies": 1, "clips_per_shard": 7, "test_dir": str(unlabeled_dir)}
    with pytest.raises(
        UserError, match="made differently: the spectrograms' settings, in another version of"
    ):
        write_dataset(
            PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset), **same)
        )


def test_a_finished_dataset_of_version_3_is_kept(copy_of_dataset, audio_dir, unlabeled_dir):
    path = copy_of_dataset / "manifest.json"
    content = json.loads(path.read_text())
    config = PreprocessConfig(
        audio_dir=str(audio_dir),
        dataset_dir=str(copy_of_dataset),
        test_dir=str(unlabeled_dir),
        num_augmented_copies=1,
        clips_per_shard=7,
    )
    clips = plan_dataset(config).clips
    columns = ["clip_id", "label", "recording", "fold", "split", "num_bytes", "modified_ns"]
    content["version"] = 3
    content["sources_sha256"] = sha256(clips[columns].to_csv(index=False).encode())
    names = "split validation_fraction validation_fold recording_pattern num_augmented_copies "
    names += "augmentations clips_per_shard seed"
    content["settings"] = {name: content["settings"][name] for name in names.split()}
    for name in ("windows", "has_several_labels", "num_warnings", "num_cut", "num_padded", "notes"):
        del content[name]
    path.write_text(json.dumps(content))
    assert write_dataset(config).sources_sha256 == content["sources_sha256"]
    content["sources_sha256"] = "0"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="made differently: the clips"):
        write_dataset(config)


def test_of_two_runs_into_one_folder_only_one_finishes(local_ray, audio_dir, tmp_path, monkeypatch):
    def other_run_begins(*_):
        (tmp_path / "dataset" / "unfinished.json").write_text('{"settings": {}, "run": "other"}')

    monkeypatch.setattr("freqquest.dataset.figures.draw_figures", other_run_begins)
    with pytest.raises(UserError, match="another run has begun to write .*/dataset"):
        write_dataset(
            PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(tmp_path / "dataset"))
        )
    assert not (tmp_path / "dataset" / "manifest.json").exists()


def test_a_folder_with_other_files_is_refused_and_kept(local_ray, audio_dir, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="holds thesis.tex, which is not part of a dataset"):
        write_dataset(PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(tmp_path)))
    assert (tmp_path / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("overwrite", [False, True])
def test_clips_in_a_folder_called_train_are_not_mistaken_for_shards(
    local_ray, audio_dir, tmp_path, overwrite
):
    shutil.copytree(audio_dir, tmp_path / "train")
    with pytest.raises(
        UserError, match="which is not part of a dataset: choose an empty or new folder"
    ):
        write_dataset(
            PreprocessConfig(
                audio_dir=str(tmp_path / "train"), dataset_dir=str(tmp_path), overwrite=overwrite
            )
        )
    assert len(list((tmp_path / "train").rglob("*.wav"))) == 20


def test_overwrite_removes_old_shards_and_hidden_files(copy_of_dataset, audio_dir):
    (copy_of_dataset / "manifest.json").unlink()
    (copy_of_dataset / "train" / ".part-00001.parquet-staged-x").write_text("half of it")
    (copy_of_dataset / "train" / "part-00099.parquet").write_bytes(b"stale")
    with pytest.raises(UserError, match="holds t.*, but neither manifest.json nor unfinished.json"):
        write_dataset(PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset)))
    manifest = write_dataset(
        PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset), overwrite=True)
    )
    left = {path.name for path in (copy_of_dataset / "train").iterdir()}
    assert left == {shard.name for shard in manifest.shards if shard.split == "train"}


def test_overwrite_replaces_a_dataset_with_other_settings(copy_of_dataset, audio_dir):
    manifest = write_dataset(
        PreprocessConfig(
            audio_dir=str(audio_dir), dataset_dir=str(copy_of_dataset), seed=3, overwrite=True
        )
    )
    assert load_manifest(locate(copy_of_dataset)) == manifest
    assert manifest.num_rows["test"] == 0


def test_too_many_unreadable_clips_stop_the_job_without_a_dataset(local_ray, audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    for path in sorted((tmp_path / "audio" / "low").glob("*"))[:3]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match="3 of 20 clips were rejected.*quarantine.csv"):
        write_dataset(
            PreprocessConfig(
                audio_dir=str(tmp_path / "audio"), dataset_dir=str(tmp_path / "dataset")
            )
        )
    assert not (tmp_path / "dataset" / "manifest.json").exists()
    assert len(pd.read_csv(tmp_path / "dataset" / "quarantine.csv")) == 3
    for path in sorted((tmp_path / "audio" / "low").glob("*"))[:3]:
        shutil.copy(audio_dir / "low" / path.name, path)
    fixed = write_dataset(
        PreprocessConfig(audio_dir=str(tmp_path / "audio"), dataset_dir=str(tmp_path / "dataset"))
    )
    assert fixed.num_quarantined == 0


def test_too_many_missing_clips_stop_the_job_before_the_work(
    local_ray, audio_dir, tmp_path, monkeypatch
):
    rows = [
        f"{path.relative_to(audio_dir)},{path.parent.name}" for path in audio_dir.rglob("*.wav")
    ]
    rows += ["gone1.wav,low", "gone2.wav,low"]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label", *rows]))
    monkeypatch.setattr("freqquest.dataset.write._write_shards", None)
    with pytest.raises(UserError, match="2 of 22 clips were rejected"):
        write_dataset(
            PreprocessConfig(
                audio_dir=str(audio_dir),
                dataset_dir=str(tmp_path / "dataset"),
                metadata=str(tmp_path / "clips.csv"),
            )
        )
    assert len(pd.read_csv(tmp_path / "dataset" / "quarantine.csv")) == 2


def test_one_unreadable_clip_is_allowed_unless_the_limit_is_zero(local_ray, audio_dir, tmp_path):
    shutil.copytree(audio_dir, tmp_path / "audio")
    min((tmp_path / "audio" / "low").glob("*")).write_bytes(b"")
    settings = {"audio_dir": str(tmp_path / "audio"), "dataset_dir": str(tmp_path / "dataset")}
    with pytest.raises(
        UserError, match="1 of 20 clips were rejected, more than `max_quarantined_fraction=0`"
    ):
        write_dataset(PreprocessConfig(**settings, max_quarantined_fraction=0))
    assert (
        write_dataset(PreprocessConfig(**settings, max_quarantined_fraction=0.01)).num_quarantined
        == 1
    )


@pytest.mark.parametrize(
    ("num_shards", "num_cores", "lengths"),
    [
        (0, 2, []),
        (19, 2, [5, 4, 3, 2, 2, 1, 1, 1]),
        (50, 2, [8, 8, 8, 7, 5, 4, 3, 2, 2, 1, 1, 1]),
        (5, 64, [1, 1, 1, 1, 1]),
        (3, math.inf, [1, 1, 1]),
    ],
)
def test_later_tasks_make_fewer_shards(num_shards, num_cores, lengths):
    tasks = _divide(num_shards, num_cores)
    assert [len(numbers) for numbers in tasks] == lengths
    assert [number for numbers in tasks for number in numbers] == list(range(num_shards))


def test_a_task_ends_at_the_first_shard_that_fails(monkeypatch):
    def fail(plan, dataset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("freqquest.dataset.write.write_shard", fail)
    monkeypatch.setattr("ray.get", lambda shared: shared)
    plans = [SimpleNamespace(clips=[]) for _ in range(3)]
    (result,) = _write_planned({"numbers": range(3)}, plans, locate("there"))
    assert result["problem"] == "No space left on device"
