"""Vectors of a pretrained network in a dataset, and the file of the network beside the shards."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from freqquest.dataset import write
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.dataset import Dataset
from freqquest.dataset.load_clip import open_clip
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.plan import ShardPlans, plan_dataset
from freqquest.dataset.read import SplitReader
from freqquest.dataset.shard import _waveform, write_shard
from freqquest.dataset.summary import summarize
from freqquest.dataset.verify import verify_dataset
from freqquest.dataset.write import write_dataset
from freqquest.embedding.network import EmbeddingNetwork
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.conftest import RATE_HZ
from tests.embedding.tiny_networks import write_onnx
from tests.splits import read_split


@pytest.fixture
def copy_of_embedded(embedded_dataset_dir, tmp_path):
    """A copy of the dataset, and of its network beside it, which a test may change."""
    shutil.copytree(embedded_dataset_dir.parent, tmp_path / "embedded")
    return tmp_path / "embedded" / "dataset"


def config_of(dataset_dir, audio_dir, **changes):
    settings = {
        "num_augmented_copies": 1,
        "clips_per_shard": 7,
        "embedding": str(dataset_dir.parent / "network.onnx"),
        "embedding_rate": 16_000,
    }
    return PreprocessConfig(
        audio_dir=str(audio_dir), dataset_dir=str(dataset_dir), **settings | changes
    )


def network_of(dataset_dir):
    manifest = load_manifest(locate(str(dataset_dir)))
    return EmbeddingNetwork(manifest.embedding, (dataset_dir / "embedding.onnx").read_bytes())


def test_each_clip_and_copy_has_the_vector_of_its_waveform(embedded_dataset_dir, audio_dir):
    network = network_of(embedded_dataset_dir)
    plan = plan_dataset(config := config_of(embedded_dataset_dir, audio_dir))
    shard = ShardPlans(plan.clips, plan.classes, config, None, plan.embedding)[0]
    assert {clip["copy"] for clip in shard.clips} == {0, 1}
    expected = [
        network.embed(_waveform(open_clip(clip["path"], shard.clip), clip, shard), RATE_HZ)
        for clip in shard.clips
    ]
    column = pq.read_table(embedded_dataset_dir / shard.path)["embedding"]
    np.testing.assert_array_equal(column.to_pylist(), expected)
    assert len({tuple(vector) for vector in column.to_pylist()}) == 7


def test_plain_pyarrow_and_pandas_read_the_vectors(embedded_dataset_dir):
    path = embedded_dataset_dir / "train" / "part-00000.parquet"
    table = pq.read_table(path)
    assert table.column_names[-3:] == ["cnn", "cgan", "embedding"]
    assert str(table.schema.field("embedding").type).startswith("fixed_size_list<")
    assert str(table.schema.field("embedding").type).endswith("float>[3]")
    vectors = pd.read_parquet(path)["embedding"]
    assert vectors[0].dtype == np.float32
    assert vectors[0].shape == (3,)


def test_readers_give_the_vectors_with_the_view_of_the_classifier(embedded_dataset_dir):
    dataset = Dataset.open(embedded_dataset_dir)
    location, manifest = dataset.location, dataset.manifest
    stored = read_split(location, manifest, "train", "cnn")
    assert (stored.vectors.shape, stored.vectors.dtype) == ((32, 3), np.float32)
    vectors = dict(zip(map(bytes, stored.spectrograms), stored.vectors.tolist(), strict=True))
    split = dataset.split("train", view="cnn")
    for batch in split.batches(8, seed=0, epoch=0):
        found = [vectors[bytes(spectrogram)] for spectrogram in batch.spectrograms]
        assert batch.vectors.tolist() == found
    np.testing.assert_array_equal([clip.vector for clip in split], stored.vectors)
    reader = SplitReader(location, manifest, "train", "cgan")
    assert next(reader.batches(8, seed=0, epoch=0)).vectors is None
    assert next(iter(dataset.split("train", view="cgan"))).vector is None


def test_a_dataset_without_a_network_has_neither_vectors_nor_an_entry_of_one(
    dataset_dir, audio_dir, tmp_path
):
    assert "embedding" not in json.loads((dataset_dir / "manifest.json").read_text())
    assert next(iter(Dataset.open(dataset_dir).split("train"))).vector is None
    plan = plan_dataset(
        config := PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(tmp_path / "plain"))
    )
    assert not [name for name in plan.settings if name.startswith("embedding")]
    shard = ShardPlans(plan.clips, plan.classes, config)[0]
    write_shard(shard, locate(str(tmp_path)))
    assert "embedding" not in pq.read_schema(tmp_path / shard.path).names


def test_a_rerun_changes_nothing_and_needs_no_ray(copy_of_embedded, audio_dir, monkeypatch):
    monkeypatch.setattr(write, "_make_dataset", None)
    manifest = load_manifest(locate(str(copy_of_embedded)))
    assert write_dataset(config_of(copy_of_embedded, audio_dir)) == manifest
    renamed = (copy_of_embedded.parent / "network.onnx").rename(copy_of_embedded.parent / "b.onnx")
    assert write_dataset(config_of(copy_of_embedded, audio_dir, embedding=str(renamed))) == manifest


def test_another_network_rate_or_tensor_is_refused(copy_of_embedded, audio_dir, tmp_path):
    other = str(write_onnx(tmp_path / "other.onnx", 4_000))
    for changes, problem in (
        ({"embedding": other}, r"made differently: embedding_sha256=\w{8} \(there: \w{8}\);"),
        ({"embedding_rate": 8_000}, r"differently: embedding_rate=8000 \(there: 16000\);"),
        ({"embedding_tensor": "squares"}, r"embedding_tensor=squares \(there: vector\);"),
        (
            {"embedding": None, "embedding_rate": None},
            r"embedding_rate=not given \(there: 16000\), embedding_sha256=not given",
        ),
    ):
        with pytest.raises(UserError, match=problem):
            write_dataset(config_of(copy_of_embedded, audio_dir, **changes))


def test_overwriting_without_a_network_removes_its_file(local_ray, copy_of_embedded, audio_dir):
    config = config_of(
        copy_of_embedded, audio_dir, embedding=None, embedding_rate=None, overwrite=True
    )
    assert write_dataset(config).embedding is None
    assert not (copy_of_embedded / "embedding.onnx").exists()
    assert next(iter(Dataset.open(copy_of_embedded).split("train"))).vector is None


def test_a_network_is_refused_before_any_work(audio_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("freqquest.dataset.plan.find_labeled", None)
    (tmp_path / "a.onnx").write_bytes(b"no network")
    config = config_of(tmp_path / "dataset", audio_dir, embedding=str(tmp_path / "a.onnx"))
    with pytest.raises(UserError, match="`embedding=a.onnx` cannot be loaded"):
        write_dataset(config)
    assert not (tmp_path / "dataset").exists()


def test_a_node_without_the_runtime_says_so(embedded_dataset_dir, audio_dir, monkeypatch, tmp_path):
    plan = plan_dataset(config := config_of(embedded_dataset_dir, audio_dir))
    shards = ShardPlans(plan.clips, plan.classes, config, None, plan.embedding)
    monkeypatch.setattr("freqquest.embedding.network._loaded", {})
    monkeypatch.setattr("freqquest.embedding.runtime.find_spec", lambda name: None)
    monkeypatch.setattr("ray.get", lambda shared: shared)
    (row,) = write._write_planned({"numbers": range(2)}, shards, locate(str(tmp_path)))
    assert "packages that are not installed (onnx, onnxruntime)" in row["problem"]


def test_the_copy_of_the_network_is_verified_and_made_again(local_ray, copy_of_embedded, audio_dir):
    assert "all 6 shards and the network match" in verify_dataset(str(copy_of_embedded))
    copy = copy_of_embedded / "embedding.onnx"
    content = copy.read_bytes()
    copy.write_bytes(b"something else")
    with pytest.raises(UserError, match="1 of 7 files .*\n.*embedding.onnx is not the network"):
        verify_dataset(str(copy_of_embedded))
    copy.unlink()
    with pytest.raises(UserError, match="1 of 7 files .*\n.*network.onnx, is missing"):
        verify_dataset(str(copy_of_embedded))
    manifest = load_manifest(locate(str(copy_of_embedded)))
    assert write_dataset(config_of(copy_of_embedded, audio_dir)).shards == manifest.shards
    assert copy.read_bytes() == content
    verify_dataset(str(copy_of_embedded))


def test_the_summary_names_the_network(embedded_dataset_dir):
    manifest = load_manifest(locate(str(embedded_dataset_dir)))
    lines = summarize(manifest, "there").splitlines()
    assert "embedding: network.onnx; vectors of 3 values" in lines
