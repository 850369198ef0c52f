import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.dataset.config import DatasetSettings
from freqquest.dataset.views import RECIPE_CLIP, RECIPE_VIEWS, require_recipe_views
from freqquest.errors import UserError


def test_the_defaults_are_the_recipes_clips_and_views():
    assert DatasetSettings().clip == RECIPE_CLIP
    assert DatasetSettings().views == RECIPE_VIEWS


@pytest.mark.parametrize(
    ("sample_rate", "cnn", "cgan"),
    [
        (44_100, (4096, 1024), (2048, 512)),
        (48_000, (4500, 1125), (2304, 576)),
        (16_000, (1500, 375), (768, 192)),
        (8_000, (768, 192), (384, 96)),
    ],
)
def test_other_rates_keep_the_length_of_the_analysis_window(sample_rate, cnn, cgan):
    views = DatasetSettings(sample_rate=sample_rate).views
    assert (views["cnn"].n_fft, views["cnn"].hop_length) == cnn
    assert (views["cgan"].n_fft, views["cgan"].hop_length) == cgan
    for name, view in views.items():
        recipe = RECIPE_VIEWS[name]
        ratio = (view.n_fft / sample_rate) / (recipe.n_fft / 22_050)
        assert 0.95 < ratio < 1.05
        assert view.num_frames == 1 + 4 * sample_rate // view.hop_length


def test_a_hop_is_a_quarter_of_a_chosen_window():
    view = DatasetSettings(cnn_n_fft=1000).views["cnn"]
    assert (view.n_fft, view.hop_length) == (1000, 250)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"num_mels": 600},
            "`num_mels=600` must be at most 513, the FFT bins between 0 and 11025 Hz with "
            "`cgan_n_fft=1024`: use fewer bands or a longer window",
        ),
        (
            {"num_mels": 60, "min_frequency": 10_000},
            "`num_mels=60` must be at most 48, the FFT bins between 10000 and 11025 Hz",
        ),
        (
            {"duration": 0.05},
            "`cnn_n_fft=2048` must be from 2 to 1102, the samples of a clip of `duration=0.05` "
            "at 22050 Hz: make clips longer, or the window shorter",
        ),
        ({"duration": 0}, "`duration=0` must be above 0 and at most 600 seconds"),
        ({"sample_rate": 10}, "`sample_rate=10` must be between 1000 and 768000"),
        (
            {"max_frequency": 12_000},
            "`max_frequency=12000` must be at most 11025, half the sample rate",
        ),
        (
            {"min_frequency": 4_000, "max_frequency": 3_000},
            "`min_frequency=4000` must be at least 0 and below 3000",
        ),
        (
            {"cgan_hop_length": 2048},
            "`cgan_hop_length=2048` must be between 1 and `cgan_n_fft=1024`",
        ),
        ({"cnn_n_fft": 1}, "of `duration=4` at 22050 Hz: use a longer window"),
    ],
)
def test_settings_without_a_spectrogram_are_refused_by_their_own_names(settings, problem):
    with pytest.raises(ValueError) as refusal:
        DatasetSettings(**settings)
    assert problem in str(refusal.value)


def test_the_recipe_refuses_other_views_by_name():
    settings = DatasetSettings(sample_rate=16_000, num_mels=64)
    with pytest.raises(
        UserError,
        match="but these have sample_rate_hz 16000 instead of 22050, n_fft 1500 instead of 2048.*"
        "num_mels 64 instead of 128.*: use `preset=default`",
    ):
        require_recipe_views(settings.clip, settings.views, "cnn")
    require_recipe_views(ClipConfig(), RECIPE_VIEWS, "cgan")
