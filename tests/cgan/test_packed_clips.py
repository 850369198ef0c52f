import io
import json

import numpy as np
import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.batches import ClipBatches
from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import image_scale
from freqquest.cgan.packed_clips import PackedClips, pack
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import SplitReader
from freqquest.storage import locate
from tests.cgan.conftest import CPU, FakeSource
from tests.sizes import ALL_SIZES

WITH_FLOOR, WITHOUT = (image_scale(CGAN_VIEW, ClipConfig(), floor) for floor in (1e-4, 0.0))
AUDIO = {"view": CGAN_VIEW, "sample_rate_hz": 22_050}


def packed(source, scale, precision):
    file = io.BytesIO()
    pack(source, scale, ["high", "low"], file, precision=precision, **AUDIO)
    file.seek(0)
    return PackedClips(file)


def epoch(source, scale, worker):
    return list(ClipBatches(source, scale, CPU).epoch(4, seed=1, epoch=2, worker=worker))


@pytest.mark.parametrize(
    ("scale", "precision", "tolerance"),
    [(WITH_FLOOR, "uint8", 0.005), (WITH_FLOOR, "float16", 1e-3), (WITHOUT, "float16", 0)],
)
@pytest.mark.parametrize("worker", [Worker(), Worker(rank=1, world_size=3)])
def test_packed_clips_give_the_same_batches_in_the_same_order(scale, precision, tolerance, worker):
    source = FakeSource([5, 2, 6])
    copies = packed(source, scale, precision)
    assert len(copies) == 13
    for (images, labels), (others, other_labels) in zip(
        epoch(source, scale, worker), epoch(copies, scale, worker), strict=True
    ):
        assert torch.equal(labels, other_labels)
        torch.testing.assert_close(images, others, rtol=0, atol=tolerance)


def test_streamed_packed_clips_are_those_kept_in_memory():
    copies = packed(FakeSource([5, 2]), WITH_FLOOR, "uint8")
    order = {"seed": 0, "epoch": 0}
    everything = np.concatenate([shard.spectrograms for shard in copies.shards()])
    for rows, clips in zip(copies.rows(3, **order), copies.batches(3, **order), strict=True):
        np.testing.assert_array_equal(clips.spectrograms, everything[rows])


def test_the_file_holds_classes_and_scale_and_8_bits_take_half_the_space(tmp_path):
    for precision in ("uint8", "float16"):
        file = tmp_path / f"{precision}.npz"
        pack(FakeSource([4]), WITH_FLOOR, ["high", "low"], file, precision=precision, **AUDIO)
    copies = PackedClips(tmp_path / "uint8.npz")
    assert copies.classes == ["high", "low"]
    assert copies.scale == WITH_FLOOR
    sizes = [(tmp_path / f"{name}.npz").stat().st_size for name in ("uint8", "float16")]
    assert sizes[0] < 0.6 * sizes[1]


def test_8_bits_without_a_floor_are_refused():
    with pytest.raises(ValueError, match="`precision=uint8` needs an image scale with a floor"):
        packed(FakeSource([4]), WITHOUT, "uint8")


def test_a_file_of_another_version_is_refused():
    file = io.BytesIO()
    np.savez(file, header=np.array('{"version": 9}'))
    file.seek(0)
    with pytest.raises(
        ValueError, match="packed clips of version 9; this freqquest reads 2 and 3: pack"
    ):
        PackedClips(file)


def test_a_file_of_version_2_is_read():
    file = io.BytesIO()
    pack(FakeSource([4]), WITH_FLOOR, ["high", "low"], file, **AUDIO)
    file.seek(0)
    content = dict(np.load(file))
    header = json.loads(str(content["header"])) | {"version": 2}
    del header["scale"]["image_mels"]
    old = io.BytesIO()
    np.savez(old, **content | {"header": np.array(json.dumps(header))})
    old.seek(0)
    copies = PackedClips(old)
    assert copies.scale == WITH_FLOOR
    assert len(copies) == 4


@ALL_SIZES
def test_packed_clips_of_any_size_give_the_same_images(size):
    view = size.views["cgan"]
    source = FakeSource([3])
    rng = np.random.default_rng(0)
    shape = (3, view.num_mels, view.num_frames)
    source.spectrograms = rng.exponential(size=shape).astype(np.float16)
    scale = image_scale(view, size.clip, 1e-4)
    file = io.BytesIO()
    pack(source, scale, ["high", "low"], file, view=view, sample_rate_hz=size.sample_rate)
    file.seek(0)
    (images, _), (packed_images, _) = (
        next(ClipBatches(clips, scale, CPU).epoch(2, seed=0, epoch=0, worker=Worker()))
        for clips in (source, PackedClips(file))
    )
    torch.testing.assert_close(images, packed_images, rtol=0, atol=0.005)


def test_a_datasets_clips_are_packed_in_the_order_of_its_reader(dataset_dir):
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    reader = SplitReader(dataset, manifest, "train", "cgan")
    scale = image_scale(manifest.views["cgan"], manifest.clip, 0.0)
    copies = packed(reader, scale, "float16")
    order = {"seed": 3, "epoch": 1, "rank": 1, "world_size": 2}
    for clips, others in zip(reader.batches(6, **order), copies.batches(6, **order), strict=True):
        np.testing.assert_array_equal(clips.spectrograms, others.spectrograms)
        np.testing.assert_array_equal(clips.class_indices, others.class_indices)


def test_several_labels_are_packed_and_one_label_takes_no_space():
    source = FakeSource([5, 3])
    content = io.BytesIO()
    pack(source, WITH_FLOOR, ["high", "low"], content, **AUDIO)
    content.seek(0)
    assert "labels" not in np.load(content)
    copies = PackedClips(content)
    assert not copies.has_several_labels
    np.testing.assert_array_equal(next(copies.shards()).labels, source.labels[:5])
    source.labels[2] = True
    copies = packed(source, WITH_FLOOR, "uint8")
    assert copies.has_several_labels
    order = {"seed": 3, "epoch": 1}
    for clips, others in zip(source.batches(4, **order), copies.batches(4, **order), strict=True):
        np.testing.assert_array_equal(clips.labels, others.labels)
