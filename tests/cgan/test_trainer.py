import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.config import PRESETS
from freqquest.cgan.distributed import Worker
from freqquest.cgan.epoch import silent_inputs, train_epoch
from freqquest.cgan.images import image_scale
from freqquest.cgan.trainer import METRICS, CganTrainer, StepInputs
from tests.cgan.conftest import BOTH_PRESETS, batches, epoch, small, trainer, weights
from tests.sizes import ALL_SIZES


def test_the_reference_trains_with_the_recipes_settings():
    reference = PRESETS["reference"]
    assert (reference.batch_size, reference.noise_dim, reference.precision) == (16, 100, "float32")
    assert (reference.augment, reference.floor, reference.ema_decay, reference.r1) == (
        False,
        0,
        0,
        0,
    )
    model = trainer(reference)
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        assert optimizer.defaults["lr"] == 2e-4
        assert optimizer.defaults["betas"] == (0.5, 0.999)


@BOTH_PRESETS
def test_an_epoch_trains_both_networks_and_returns_finite_metrics(preset):
    model = trainer(small(preset))
    before = copy.deepcopy((model.generator.state_dict(), model.discriminator.state_dict()))
    metrics = epoch(model)
    assert set(metrics) == {
        *("loss_D", "loss_G", "accuracy_real", "accuracy_fake", "norm_D", "norm_G"),
        "num_skipped",
    }
    assert all(np.isfinite(value) for value in metrics.values())
    assert 0 <= metrics["accuracy_real"] <= 1
    for network, old in zip((model.generator, model.discriminator), before, strict=True):
        for name, value in network.named_parameters():
            assert (value != old[name]).any(), name


@BOTH_PRESETS
def test_a_saved_state_continues_as_if_never_interrupted(preset):
    whole = trainer(small(preset))
    epoch(whole, 0)
    state = copy.deepcopy(whole.state_dict())
    epoch(whole, 1)
    resumed = trainer(small(preset), seed=9)
    resumed.load_state_dict(state)
    epoch(resumed, 1)
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)


def test_the_reference_generates_with_its_own_weights_and_the_default_with_their_average():
    plain, averaged = trainer(small("reference")), trainer(small("default"))
    epoch(plain)
    epoch(averaged)
    first = "project.weight"
    assert torch.equal(
        plain.averaged_generator.state_dict()[first], plain.generator.state_dict()[first]
    )
    assert not torch.equal(
        averaged.averaged_generator.state_dict()[first], averaged.generator.state_dict()[first]
    )


@BOTH_PRESETS
def test_bfloat16_trains_the_same_networks_within_rounding(preset):
    exact, fast = trainer(small(preset)), trainer(small(preset, precision="bfloat16"))
    first, second = epoch(exact), epoch(fast)
    assert first["loss_D"] == pytest.approx(second["loss_D"], rel=0.1)
    assert fast.generator.project.weight.dtype == torch.float32


@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_share_each_batchs_noise_and_augmentation_without_overlap(monkeypatch, world_size):
    seen = []

    monkeypatch.setattr(CganTrainer, "step", lambda _, inputs: seen.append(inputs[1:]))
    for worker in (
        Worker(),
        *(Worker(rank=rank, world_size=world_size) for rank in range(world_size)),
    ):
        epoch(trainer(small("default")), worker=worker)
    alone, parts = seen[:2], seen[2:]
    for number, whole in enumerate(alone):
        for inputs in zip(whole, *parts[number::2], strict=True):
            assert torch.equal(inputs[0], torch.cat(inputs[1:]))


def test_a_step_without_finite_gradients_changes_no_weights_and_is_not_counted():
    model, spoiled = trainer(small("default")), trainer(small("default"))
    (images, labels), _ = batches(model, Worker())
    good = [(images, labels)] * 4
    bad = [(torch.full_like(images, torch.nan), labels), *good[1:]]

    def train(which, given):
        return train_epoch(which, given, num_steps=len(given), epoch=0, seed=0, worker=Worker())

    assert train(model, good)["num_skipped"] == 0
    metrics = train(spoiled, bad)
    assert metrics["num_skipped"] == 1
    assert np.isfinite(metrics["loss_D"])
    assert torch.isfinite(weights(spoiled)).all()
    before = weights(trainer(small("default")))
    assert not torch.equal(weights(spoiled), before)
    lost = trainer(small("default"))
    with pytest.raises(
        FloatingPointError, match="gradients were not finite in 4 of 4 steps of epoch 1"
    ):
        train(lost, bad[:1] * 4)


@BOTH_PRESETS
def test_networks_stay_finite_after_a_step_with_nan_noise(preset):
    model = trainer(small(preset))
    epoch(model)
    images, labels = next(batches(model, Worker()))
    noise = torch.randn(4, model.cgan_config.noise_dim)
    changes = torch.zeros(4, 6)
    model.step(StepInputs(images, labels, noise * torch.nan, changes, changes))
    assert model.pop_metrics() == dict.fromkeys(METRICS, 0) | {"skipped": 1}
    assert torch.isfinite(model.generate(noise, labels)).all()
    for network in (model.generator, model.discriminator, model.averaged_generator):
        assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_compiled_steps_train_the_same_networks_within_rounding(monkeypatch):
    # The backend traces forward and backward passes as the default one does, but builds no kernels.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain = trainer(small("default"))
    compiled = CganTrainer(small("default"), 2, plain.scale, plain.device, seed=0, compiled=True)
    assert epoch(compiled) == pytest.approx(epoch(plain), rel=1e-3, abs=1e-5)


@ALL_SIZES
def test_clips_of_any_size_train_networks_that_generate_such_clips(size):
    view = size.views["cgan"]
    scale = image_scale(view, size.clip, 1e-4)
    model = CganTrainer(small("default"), 2, scale, torch.device("cpu"), seed=0)
    rng = np.random.default_rng(0)
    shape = (4, view.num_mels, view.num_frames)
    images = scale.encode(torch.from_numpy(rng.exponential(size=shape).astype(np.float32)))
    labels = torch.tensor([0, 1, 0, 1])
    metrics = train_epoch(
        model, [(images, labels)] * 2, num_steps=2, epoch=0, seed=0, worker=Worker()
    )
    assert metrics["num_skipped"] == 0
    spectrograms = model.generate(torch.randn(2, 128), torch.tensor([0, 1]))
    assert spectrograms.shape == (2, view.num_mels, view.num_frames)
    assert torch.isfinite(spectrograms).all()


def test_a_single_clip_of_the_smallest_size_is_a_batch():
    clip = ClipConfig(sample_rate_hz=16_000, duration_s=0.048)
    view = dataclasses.replace(CGAN_VIEW, n_fft=768, hop_length=768, num_mels=1, num_frames=2)
    scale = image_scale(view, clip, 1e-4)
    assert (scale.image_mels, scale.image_frames) == (16, 32)
    model = CganTrainer(small("default", batch_size=1), 1, scale, torch.device("cpu"), seed=0)
    images = scale.encode(torch.ones(1, 1, 2))
    metrics = train_epoch(
        model, [(images, torch.tensor([0]))], num_steps=1, epoch=0, seed=0, worker=Worker()
    )
    assert metrics["num_skipped"] == 0


def test_the_discriminator_sees_silence_around_generated_clips_as_around_real_ones(monkeypatch):
    view = dataclasses.replace(CGAN_VIEW, num_mels=40)
    scale = image_scale(view, ClipConfig(), 1e-4)
    model = CganTrainer(small("default", r1=0.0), 2, scale, torch.device("cpu"), seed=0)
    seen = []
    discriminate = model.discriminator.forward

    def watch(images, labels):
        seen.append(images.detach())
        return discriminate(images, labels)

    monkeypatch.setattr(model.discriminator, "forward", watch)
    inputs = silent_inputs(model)
    model.step(inputs._replace(real=scale.encode(torch.rand(4, 40, 512))))
    both, generated = seen
    assert both.shape == (8, 1, 48, 352)
    for images in (both, generated):
        assert (images[:, :, 40:] == -1).all()
        assert (images[..., 345:] == -1).all()
        assert (images[:, :, :40, :345] != -1).any()
