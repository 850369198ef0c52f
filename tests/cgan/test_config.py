import dataclasses

import pytest

from freqquest.cgan.config import PRESETS, CganConfig, TrainConfig
from freqquest.pipeline_config import PipelineConfig


def train_config(**settings):
    return TrainConfig(dataset_dir="d", run_dir="r", **settings)


def test_presets_have_their_number_of_epochs():
    assert train_config(preset="reference").effective_epochs == 50
    assert train_config().effective_epochs == 200
    assert train_config(epochs=3).effective_epochs == 3


def test_epochs_between_judgments_and_samples_follow_from_the_number_of_epochs():
    assert train_config().effective_judge_every == 20
    assert train_config().effective_sample_every == 5
    assert train_config(epochs=5).effective_judge_every == 1
    assert train_config(epochs=50).effective_sample_every == 1


@pytest.mark.parametrize("size", [64, "64"])
def test_a_batch_size_scales_the_preset(size):
    preset = PRESETS["default"]
    config = train_config(num_workers="17", batch_size=size).cgan_config
    assert config.ema_decay == pytest.approx(preset.ema_decay**4)
    unscaled = dataclasses.replace(config, ema_decay=preset.ema_decay)
    assert unscaled == dataclasses.replace(preset, batch_size=64)
    assert train_config(batch_size=preset.batch_size).cgan_config == preset


def test_an_automatic_batch_size_is_left_to_the_training():
    config = PipelineConfig(audio_dir="clips", batch_size="auto").train_config
    assert config.batch_size == "auto"
    assert config.cgan_config == PRESETS["default"]


@pytest.mark.parametrize("size", ["large", 0, "0", -1, "1.5", "autos"])
def test_a_batch_size_that_is_no_number_is_refused(size):
    with pytest.raises(ValueError, match=f"`batch_size={size}` must be 1 or more, or auto"):
        train_config(batch_size=size)


def test_a_range_of_workers_is_read():
    assert train_config(num_workers="2:8").workers == (2, 8)
    assert train_config(num_workers="3").workers == train_config(num_workers=3).workers == (3, 3)
    assert train_config(num_workers="2:8").requirements.max_workers == 8


@pytest.mark.parametrize("text", ["17", "0", "1:17"])
def test_more_workers_than_clips_in_a_batch_are_refused(text):
    with pytest.raises(ValueError, match=f"`num_workers={text}` must be from 1 to 16, the clips"):
        train_config(num_workers=text)


def test_a_range_of_workers_must_give_the_minimum_first():
    with pytest.raises(ValueError, match="`num_workers=3:2` must give the minimum first: 2:3"):
        train_config(num_workers="3:2")


@pytest.mark.parametrize("text", ["two", "1:", ":2"])
def test_workers_that_are_not_numbers_are_refused(text):
    with pytest.raises(ValueError, match=f"`num_workers={text}` must be a number, or two such as"):
        train_config(num_workers=text)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`seed=-1` must be 0 or more"):
        train_config(seed=-1)
    with pytest.raises(ValueError, match="`preset=large` must be one of: default, reference"):
        train_config(preset="large")
    with pytest.raises(ValueError, match="`epochs=0` must be 1 or more"):
        train_config(epochs=0)


def test_settings_of_networks_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`architecture=projektion` must be one of: recipe, proj"):
        CganConfig(architecture="projektion")
    with pytest.raises(ValueError, match=r"`ema_decay=1.0` must be at least 0 and below 1"):
        CganConfig(ema_decay=1.0)
    with pytest.raises(ValueError, match=r"`floor=0.0` must be 0 for the recipe's networks, and"):
        CganConfig(floor=0.0)
    with pytest.raises(ValueError, match="`augment=True` must be False for the recipe's networks"):
        CganConfig(architecture="recipe", floor=0.0)
