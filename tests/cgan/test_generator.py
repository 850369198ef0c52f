import dataclasses
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import soundfile
import torch

from freqquest.audio.spectrogram import log_mel
from freqquest.cgan.generate_config import GenerateConfig
from freqquest.cgan.generate_worker import synthesize
from freqquest.cgan.generator import Generator, draw_noise, draw_timing, to_waveforms
from freqquest.cgan.generator_file import generator_bytes, load_generator, read_generator
from freqquest.cgan.images import image_scale
from freqquest.cgan.networks.build import build_generator
from freqquest.dataset.config import DatasetSettings
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cgan.conftest import BOTH_PRESETS, card, loud_weights, small
from tests.sizes import ALL_SIZES


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A generator file of each preset."""
    folder = tmp_path_factory.mktemp("generator")
    paths = {preset: folder / f"{preset}.safetensors" for preset in ("reference", "default")}
    for preset, path in paths.items():
        path.write_bytes(generator_bytes(loud_weights(preset), card(preset)))
    return paths


def test_a_loaded_generator_has_classes_and_a_sample_rate(files):
    generator = Generator.load(files["default"])
    assert generator.classes == ["bark", "siren"]
    assert generator.sample_rate_hz == 22_050


def test_a_uri_is_loaded_like_a_path(files):
    assert Generator.load(f"file://{files['default']}").classes == ["bark", "siren"]


@BOTH_PRESETS
def test_clips_are_audible_float32_waveforms(files, preset):
    waveforms = Generator.load(files[preset]).generate("siren", num_clips=2)
    num_frames = card(preset).scale.audible_frames
    assert waveforms.shape == (2, (num_frames - 1) * 256)
    assert waveforms.dtype == np.float32
    peaks = np.abs(waveforms).max(axis=1)
    assert peaks.min() > 0.001
    assert peaks.max() < 1


@BOTH_PRESETS
def test_the_generate_job_writes_the_same_samples(files, preset, tmp_path):
    synthesize(
        GenerateConfig(
            generator=str(files[preset]),
            label="siren",
            output_dir=str(tmp_path),
            num_clips=3,
            seed=4,
        )
    )
    waveforms = Generator.load(files[preset]).generate("siren", num_clips=3, seed=4)
    for index, waveform in enumerate(waveforms):
        written, rate = soundfile.read(tmp_path / f"siren_4_{index:03d}.wav")
        assert rate == 22_050
        np.testing.assert_allclose(waveform, written, rtol=0, atol=1 / 2**15)


def test_a_seed_gives_the_same_clips_and_another_seed_others(files):
    generator = Generator.load(files["default"])
    first, again = (generator.generate("siren", num_clips=1, seed=0) for _ in range(2))
    other = generator.generate("siren", num_clips=1, seed=1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


@BOTH_PRESETS
def test_another_number_of_clips_changes_a_clip_by_its_rounding_only(files, preset):
    generator = Generator.load(files[preset])
    alone, among_others = (generator.generate("siren", num_clips=number) for number in (1, 4))
    np.testing.assert_allclose(alone[0], among_others[0], rtol=0, atol=20 / 2**15)


def spectrograms(path, clips):
    """Return spectrograms of clips as the network makes them, and as they become sound."""
    trained = load_generator(locate(path), "path")
    noise = draw_noise(trained.card.cgan_config.noise_dim, 0, clips)
    labels = torch.tensor([label for label, _ in clips])
    shifts = draw_timing(trained.card, 0, clips)
    return trained.spectrograms(noise, labels), trained.spectrograms(noise, labels, shifts), shifts


def test_clips_are_rotated_in_time_and_those_of_the_recipe_are_not(files):
    clips = [(1, number) for number in range(4)]
    made, sounding, shifts = spectrograms(files["default"], clips)
    for before, after, shift in zip(made, sounding, shifts, strict=True):
        inner = after[:, :345].roll(-int(shift), dims=1)[:, 16:-16]  # without the joined ends
        torch.testing.assert_close(inner, before[:, 16:329])
    assert len(set(shifts.tolist())) > 1
    made, sounding, shifts = spectrograms(files["reference"], clips)
    assert shifts is None
    assert torch.equal(made, sounding)


def test_threads_generate_the_same_clips_and_so_does_a_pickled_copy(files):
    generator = Generator.load(files["default"])
    generate = partial(generator.generate, "siren", 1)
    expected = [generate(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        np.testing.assert_array_equal(list(threads.map(generate, range(4))), expected)
    copy = pickle.loads(pickle.dumps(generator))
    np.testing.assert_array_equal(copy.generate("siren", 1, seed=0), expected[0])


def test_an_unknown_label_is_refused_with_the_known_ones(files):
    generator = Generator.load(files["default"])
    with pytest.raises(UserError, match="`label=cat` must be one of: bark, siren$") as refused:
        generator.generate("cat")
    assert refused.value.fields == ("label",)


def test_numbers_out_of_range_are_refused(files):
    generator = Generator.load(files["default"])
    with pytest.raises(UserError, match="`num_clips=0` must be 1 or more"):
        generator.generate("siren", num_clips=0)
    with pytest.raises(UserError, match="`seed=-1` must be 0 or more"):
        generator.generate("siren", seed=-1)


def test_a_missing_file_and_a_folder_are_refused_with_the_fix(tmp_path):
    with pytest.raises(UserError, match="`path=.*/none` does not exist: give the generator.s"):
        Generator.load(tmp_path / "none")
    with pytest.raises(UserError, match="`path=.*` is a folder: give the generator.s"):
        Generator.load(tmp_path)


def test_generation_imports_neither_ray_nor_tensorflow_nor_pandas(files):
    code = (
        "import sys; from freqquest.cgan.generator import Generator; "
        "Generator.load(sys.argv[1]).generate('siren', num_clips=1); "
        "print({'ray', 'tensorflow', 'pandas', 'soundfile', 'sklearn'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, files["default"]], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@ALL_SIZES
def test_clips_have_the_datasets_rate_and_exactly_its_length(size):
    view, cgan_config = size.views["cgan"], small("default", inversion="default")
    scale = image_scale(view, size.clip, cgan_config.floor)
    any_size = dataclasses.replace(
        card("default"),
        sample_rate_hz=size.sample_rate,
        num_samples=size.clip.num_samples,
        view=view,
        scale=scale,
        cgan_config=cgan_config,
    )
    weights = build_generator(cgan_config, 2, scale).state_dict()
    generator = Generator(read_generator(generator_bytes(weights, any_size)))
    assert generator.sample_rate_hz == size.sample_rate
    waveforms = generator.generate("siren", num_clips=1)
    assert waveforms.shape == (1, round(size.sample_rate * size.duration))
    assert np.isfinite(waveforms).all()


def test_sound_lasts_to_the_end_of_a_clip_whose_frames_end_before():
    size = DatasetSettings(sample_rate=16_000, duration=1.0, cgan_n_fft=768, cgan_hop_length=768)
    view = size.views["cgan"]
    wanted = dataclasses.replace(
        card("default"),
        sample_rate_hz=16_000,
        num_samples=16_000,
        view=view,
        scale=image_scale(view, size.clip, 1e-4),
        cgan_config=small("default", inversion="default"),
    )
    tone_of_a_second = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    spectrogram = torch.from_numpy(log_mel(tone_of_a_second, view, 16_000))[None]
    (waveform,) = to_waveforms(spectrogram, wanted, 0, [(0, 0)], torch.device("cpu"))
    assert waveform.shape == (16_000,)
    assert np.abs(waveform[-300:]).max() > 0.1
