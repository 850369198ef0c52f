import pytest
import torch

from freqquest.cgan import batches
from freqquest.cgan.batches import ClipBatches
from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import image_scale
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import SplitReader
from freqquest.storage import locate
from tests.cgan.conftest import CPU


@pytest.fixture
def load(dataset_dir):
    def make():
        dataset = locate(dataset_dir)
        manifest = load_manifest(dataset)
        scale = image_scale(manifest.views["cgan"], manifest.clip, 1e-4)
        return ClipBatches(SplitReader(dataset, manifest, "train", "cgan"), scale, CPU)

    return make


def epoch(clips, worker):
    return list(clips.epoch(4, seed=1, epoch=2, worker=worker))


@pytest.mark.parametrize("worker", [Worker(), Worker(rank=1, world_size=2)])
def test_streamed_and_resident_clips_are_the_same_in_the_same_order(load, monkeypatch, worker):
    resident = load()
    monkeypatch.setattr(batches, "_RESIDENT_BYTES_ON_CPU", 0)
    streamed = load()
    assert (resident.is_resident, streamed.is_resident) == (True, False)
    first, second = epoch(resident, worker), epoch(streamed, worker)
    assert len(first) == len(second) == 8  # 32 training rows
    for (images, labels), (others, other_labels) in zip(first, second, strict=True):
        assert images.shape == (4 // worker.world_size, 1, 128, 352)
        assert torch.equal(images, others)
        assert torch.equal(labels, other_labels)


def test_workers_share_a_batch_without_overlap(load):
    clips = load()
    alone, *parts = (
        epoch(clips, worker)
        for worker in (Worker(), Worker(world_size=2), Worker(rank=1, world_size=2))
    )
    for whole, first, second in zip(alone, *parts, strict=True):
        assert torch.equal(whole[0], torch.cat([first[0], second[0]]))
