import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.labels import class_names, have_several, join_labels, single_labels
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.plan import ShardPlans, plan_dataset
from freqquest.dataset.read import SplitReader, label_matrix, read_rows
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.conftest import write_clips


@pytest.fixture(scope="module")
def several_labels(tmp_path_factory):
    """Ten recordings of two clips, four of which are also loud; their CSV."""
    root = tmp_path_factory.mktemp("several")
    write_clips(root / "audio")
    lines = ["path,label,recording"]
    for path in sorted((root / "audio").rglob("*.wav")):
        recording = int(path.name.split("-")[0])
        labels = f"{path.parent.name}; loud" if recording % 2 else path.parent.name
        lines.append(f"{path.relative_to(root / 'audio')},{labels},{recording}")
    (root / "clips.csv").write_text("\n".join(lines))
    return root


def config_of(root, dataset_dir="unused"):
    return PreprocessConfig(
        audio_dir=str(root / "audio"),
        metadata=str(root / "clips.csv"),
        dataset_dir=str(dataset_dir),
        clips_per_shard=8,
    )


def test_labels_of_a_cell_are_stripped_sorted_and_joined_once():
    cells = pd.Series(["b, a", "a", "b,,b", None, ","], dtype=str)
    assert join_labels(cells, ",", "there").fillna("none").tolist() == [
        "a;b",
        "a",
        "b",
        "none",
        "none",
    ]


def test_a_label_with_a_semicolon_is_refused_where_another_separator_is_in_force():
    cells = pd.Series(["a,b", None, "c;d,a"], index=[2, 3, 5], dtype=str)
    problem = r"^there line 5: label 'c;d,a' must not contain ';', as ',' separates labels here: re"
    with pytest.raises(UserError, match=problem):
        join_labels(cells, ",", "there")


def test_a_clip_counts_for_each_of_its_labels():
    labels = pd.Series(["a;b", "b", None], dtype=str)
    assert have_several(labels).tolist() == [True, False, False]
    assert single_labels(labels.dropna()).to_dict() == {0: "b", 1: "b"}
    assert single_labels(labels.dropna()).tolist() == ["a", "b", "b"]
    assert class_names(labels) == ["a", "b"]


def test_class_indices_become_a_matrix():
    column = pa.chunked_array([[[0, 2], []], [[1]]], pa.list_(pa.int64()))
    np.testing.assert_array_equal(
        label_matrix(column, 3), [[True, False, True], [False] * 3, [False, True, False]]
    )


def test_a_clip_is_of_its_rarest_label(several_labels):
    config = config_of(several_labels)
    plan = plan_dataset(config)
    assert plan.classes == ["high", "loud", "low"]
    assert "labels: 8 of 20 clips have several" in plan.notes
    clips = [clip for shard in ShardPlans(plan.clips, plan.classes, config) for clip in shard.clips]
    both = [clip for clip in clips if clip["label"] == "high;loud"]
    assert len(both) == 4
    for clip in both:
        assert clip["class_indices"] == [0, 1]
        assert clip["class_index"] == 1
    one = next(clip for clip in clips if clip["label"] == "low")
    assert (one["class_index"], one["class_indices"]) == (2, [2])


def test_validation_has_every_label_and_no_recording_of_training(several_labels):
    clips = plan_dataset(config_of(several_labels)).clips
    held_out = clips["split"] == "validation"
    assert class_names(clips["label"][held_out]) == ["high", "loud", "low"]
    assert not set(clips["recording"][held_out]) & set(clips["recording"][~held_out])


def test_a_dataset_keeps_all_labels(several_labels, local_ray, tmp_path):
    manifest = write_dataset(config_of(several_labels, tmp_path / "dataset"))
    assert manifest.has_several_labels
    assert load_manifest(locate(tmp_path / "dataset")) == manifest
    with pytest.raises(
        UserError, match="a walk needs one label a clip, and `dataset_dir=there` has .*: run"
    ):
        manifest.require_one_label("there", "a walk", "run")
    assert sum(manifest.num_clips[split].get("loud", 0) for split in manifest.num_clips) == 8
    rows = read_rows(locate(tmp_path / "dataset"), manifest)
    assert rows["class_indices"].map(len).value_counts().to_dict() == {1: 12, 2: 8}
    reader = SplitReader(locate(tmp_path / "dataset"), manifest, "train", "cnn")
    for shard in reader.shards():
        assert shard.labels[np.arange(len(shard.labels)), shard.class_indices].all()
    (batch, *_) = reader.batches(4, seed=0, epoch=0)
    assert batch.labels.shape == (4, 3)
