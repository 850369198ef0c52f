import dataclasses
import io

import numpy as np
import pytest
import soundfile
import torch

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.config import GenerateConfig
from freqquest.cgan.generate_worker import synthesize
from freqquest.cgan.generator_file import GeneratorCard, load_generator, save_generator
from freqquest.cgan.images import image_scale
from freqquest.cgan.networks.build import build_generator
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cgan.conftest import small


def card(preset: str) -> GeneratorCard:
    networks = small(preset)
    return GeneratorCard(
        classes=["bark", "siren"],
        sample_rate_hz=22_050,
        view=CGAN_VIEW,
        scale=image_scale(CGAN_VIEW, ClipConfig(), networks.floor),
        cgan_config=networks,
        preset=preset,
        epochs=1,
        dataset_sha256="0",
    )


def loud_weights(preset: str) -> dict[str, torch.Tensor]:
    """Untrained, with the last layer turned up until it can be heard."""
    torch.manual_seed(0)
    weights = build_generator(small(preset), 2, card(preset).scale).state_dict()
    last = "upsample.9.weight" if preset == "reference" else "patches.weight"
    return weights | {last: weights[last] * (500 if preset == "reference" else 5)}


@pytest.fixture(scope="module", params=["reference", "default"])
def preset(request):
    return request.param


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory, preset):
    path = tmp_path_factory.mktemp("generator") / "generator.safetensors"
    save_generator(loud_weights(preset), card(preset), locate(path))
    return path


def config(generator_file, folder, **settings):
    return GenerateConfig(
        generator=str(generator_file),
        output_dir=str(folder),
        **{"label": "siren", "num_clips": 1} | settings,
    )


def test_a_generator_comes_back_with_its_card(generator_file, preset):
    generator = load_generator(locate(generator_file))
    assert generator.card == card(preset)
    assert not generator.network.training
    for name, value in loud_weights(preset).items():
        assert torch.equal(value, generator.network.state_dict()[name])


def test_clips_are_named_for_label_seed_and_index_and_are_sound(generator_file, tmp_path):
    clips = synthesize(config(generator_file, tmp_path, label="all", num_clips=2, seed=4))
    assert [clip.name for clip in clips] == [
        "bark_4_000.wav",
        "bark_4_001.wav",
        "siren_4_000.wav",
        "siren_4_001.wav",
    ]
    for path in tmp_path.iterdir():
        samples, rate = soundfile.read(path)
        assert rate == 22_050
        assert soundfile.info(path).subtype == "PCM_16"
        assert 0.001 < np.abs(samples).max() < 1


def test_a_seed_gives_the_same_clip_however_many_are_made(generator_file, tmp_path):
    synthesize(config(generator_file, tmp_path / "a", num_clips=1))
    synthesize(config(generator_file, tmp_path / "b", num_clips=2))
    synthesize(config(generator_file, tmp_path / "c", seed=1))
    synthesize(config(generator_file, tmp_path / "d", num_clips=1))
    names = ("a/siren_0_000.wav", "b/siren_0_000.wav", "b/siren_0_001.wav", "c/siren_1_000.wav")
    first, again, other, other_seed = (soundfile.read(tmp_path / name)[0] for name in names)
    np.testing.assert_allclose(again, first, atol=1e-3)  # rounding is another beside other clips
    assert np.abs(other - first).max() > 0.01
    assert np.abs(other_seed - first).max() > 0.01
    assert (tmp_path / "d" / "siren_0_000.wav").read_bytes() == (
        tmp_path / "a" / "siren_0_000.wav"
    ).read_bytes()


def test_an_unknown_label_lists_the_known(generator_file, tmp_path):
    with pytest.raises(
        UserError,
        match=r"--label cat is not known to this generator; it makes bark, siren \(or all\)",
    ):
        synthesize(config(generator_file, tmp_path, label="cat"))


def test_a_file_is_no_output_folder_and_a_folder_no_generator(generator_file, tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(UserError, match=r"--output-dir .*notes.txt is a file: give a folder"):
        synthesize(config(generator_file, tmp_path / "notes.txt"))
    with pytest.raises(UserError, match="is a folder: give the generator.safetensors"):
        load_generator(locate(tmp_path))


def test_clips_that_exist_are_kept_but_for_those_of_an_attempt_that_was_lost(
    generator_file, tmp_path
):
    clips = synthesize(config(generator_file, tmp_path))
    with pytest.raises(
        UserError, match="siren_0_000.wav exists: choose another --output-dir or --seed"
    ):
        synthesize(
            config(generator_file, tmp_path), taken=[path.name for path in tmp_path.iterdir()]
        )
    assert synthesize(config(generator_file, tmp_path), taken=[]) == clips


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "pickle", "other"])
def test_files_that_are_no_generator_are_refused_in_words(generator_file, tmp_path, damage):
    path = tmp_path / "generator.safetensors"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(generator_file.read_bytes()[:-100])
    elif damage == "pickle":
        torch.save({"weights": torch.zeros(3)}, path)
    elif damage == "other":
        from safetensors.torch import save

        path.write_bytes(save({"weights": torch.zeros(3)}))
    problem = "does not exist" if damage == "missing" else "is damaged, or no generator.*"
    with pytest.raises(
        UserError, match=f"{problem}: give the generator.safetensors that jobs/train_cgan.py made"
    ):
        load_generator(locate(path))


def test_a_foreign_generator_cannot_write_outside_the_output_folder(preset, tmp_path):
    good = card(preset)
    object.__setattr__(good, "classes", ["../escaped", "siren"])
    save_generator(loud_weights(preset), good, locate(tmp_path / "g"))
    with pytest.raises(UserError, match=r"class '../escaped' cannot be part of a file name"):
        load_generator(locate(tmp_path / "g"))


def test_a_card_that_asks_for_more_than_the_file_holds_is_refused_before_it_takes_memory(tmp_path):
    huge = dataclasses.replace(card("default"), cgan_config=small("default", noise_dim=10**7))
    save_generator(loud_weights("default"), huge, locate(tmp_path / "g"))
    with pytest.raises(
        UserError, match="is damaged, or no generator.*: give the generator.safetensors"
    ):
        load_generator(locate(tmp_path / "g"))


def test_settings_out_of_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match="num_clips=0 must be 1 or more"):
        config("g", tmp_path, num_clips=0)


def test_wav_bytes_are_a_file_that_soundfile_reads(generator_file, tmp_path):
    synthesize(config(generator_file, tmp_path))
    content = (tmp_path / "siren_0_000.wav").read_bytes()
    num_frames = load_generator(locate(generator_file)).card.scale.audible_frames
    assert soundfile.info(io.BytesIO(content)).frames == (num_frames - 1) * 256
