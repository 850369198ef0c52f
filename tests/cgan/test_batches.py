from types import SimpleNamespace

import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan import batches
from freqquest.cgan.batches import ClipBatches
from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import image_scale
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import SplitReader
from freqquest.storage import locate
from tests.cgan.conftest import CPU, FakeSource

SCALE = image_scale(CGAN_VIEW, ClipConfig(), 1e-4)


def epoch(clips, worker):
    return list(clips.epoch(4, seed=1, epoch=2, worker=worker))


@pytest.fixture(params=["fake", "dataset"])
def source(request):
    if request.param == "fake":
        return FakeSource([7, 7, 7, 7, 4])
    dataset = locate(request.getfixturevalue("dataset_dir"))
    return SplitReader(dataset, load_manifest(dataset), "train", "cgan")


@pytest.mark.parametrize("worker", [Worker(), Worker(rank=1, world_size=2)])
def test_streamed_and_resident_clips_are_the_same_in_the_same_order(source, monkeypatch, worker):
    resident = ClipBatches(source, SCALE, CPU)
    monkeypatch.setattr(batches, "_RESIDENT_BYTES_ON_CPU", 0)
    streamed = ClipBatches(source, SCALE, CPU)
    assert (resident.is_resident, streamed.is_resident) == (True, False)
    first, second = epoch(resident, worker), epoch(streamed, worker)
    assert len(first) == len(second) == 8  # 32 training rows
    for (images, labels), (others, other_labels) in zip(first, second, strict=True):
        assert images.shape == (4 // worker.world_size, 1, 128, 352)
        assert torch.equal(images, others)
        assert torch.equal(labels, other_labels)


def test_workers_share_a_batch_without_overlap():
    clips = ClipBatches(FakeSource([5, 9]), SCALE, CPU)
    alone, *parts = (
        epoch(clips, worker)
        for worker in (Worker(), Worker(world_size=2), Worker(rank=1, world_size=2))
    )
    for whole, first, second in zip(alone, *parts, strict=True):
        assert torch.equal(whole[0], torch.cat([first[0], second[0]]))


def test_streamed_clips_stay_near_what_a_gpu_has_done(monkeypatch):
    log = []

    class Stream:
        def __init__(self, _):
            pass

        def record_event(self):
            number = len([step for step in log if step.startswith("take")])
            return SimpleNamespace(synchronize=lambda: log.append(f"wait {number}"))

    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(batches, "_MAX_AHEAD", 2)
    for number in batches._keep_near(iter(range(1, 6)), torch.device("cuda")):
        log.append(f"take {number}")
    assert log == ["take 1", "take 2", "take 3", "wait 1", "take 4", "wait 2", "take 5", "wait 3"]


def two_epochs(source, worker=None):
    """Return the batches of two epochs of clips with several labels, and what holds them."""
    clips = ClipBatches(source, SCALE, CPU, has_several_labels=True)
    return [
        batch
        for number in range(2)
        for batch in clips.epoch(4, seed=1, epoch=number, worker=worker or Worker())
    ]


def test_clips_serve_each_of_their_labels_however_they_are_read_and_shared(monkeypatch):
    source = FakeSource([7, 7, 7, 7, 4])
    source.labels[::3] = True
    numbers = torch.arange(32, dtype=torch.float16)
    source.spectrograms[:] = (numbers / 32)[:, None, None]  # which tells the clip
    resident = two_epochs(source)
    served = {
        (round(float(image.mean()), 3), int(label))
        for images, labels in resident
        for image, label in zip(images, labels, strict=True)
    }
    assert len(served) == source.labels.sum()
    parts = [two_epochs(source, Worker(rank=rank, world_size=2)) for rank in (0, 1)]
    monkeypatch.setattr(batches, "_RESIDENT_BYTES_ON_CPU", 0)
    streamed = two_epochs(source)
    for whole, other, *halves in zip(resident, streamed, *parts, strict=True):
        assert torch.equal(whole[0], other[0])
        assert torch.equal(whole[1], other[1])
        assert torch.equal(whole[1], torch.cat([half[1] for half in halves]))
