"""Spectrograms that a dataset stores of each clip, and their defaults. Light to import."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from scipy.fft import next_fast_len

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW, SpectrogramConfig
from freqquest.errors import UserError

ViewName = Literal["cnn", "cgan"]

RECIPE_CLIP = ClipConfig()
"""Clips of both recipes; also the default."""

RECIPE_VIEWS: dict[str, SpectrogramConfig] = {"cnn": CNN_VIEW, "cgan": CGAN_VIEW}
"""Spectrograms of the recipes, also the default: of the classifier and of the generator."""


def make_view(
    recipe: SpectrogramConfig,
    clip: ClipConfig,
    *,
    num_mels: int,
    min_frequency_hz: float,
    max_frequency_hz: float | None,
    n_fft: int | None,
    hop_length: int | None,
) -> SpectrogramConfig:
    """Return a recipe's view for other clips; for the recipe's own clips, the same view.

    Args:
        recipe: View of a recipe.
        clip: Format of the clips.
        num_mels: Number of mel bands.
        min_frequency_hz: Lower edge of the lowest band.
        max_frequency_hz: Upper edge of the highest band; None for half the sample rate.
        n_fft: Analysis window in samples; None for about as many seconds as in the recipe.
        hop_length: Step in samples; None for a quarter of the window.

    Raises:
        ValueError: No spectrogram can be computed with these settings.
    """
    if n_fft is None:
        scaled = recipe.hop_length * clip.sample_rate_hz / RECIPE_CLIP.sample_rate_hz
        n_fft = 4 * next_fast_len(round(scaled), real=True)
    if hop_length is None:
        hop_length = max(1, n_fft // 4)
    if not 2 <= n_fft <= clip.num_samples:
        fix = "use a longer window" if n_fft < 2 else "make clips longer, or the window shorter"
        raise ValueError(
            f"`n_fft={n_fft}` must be from 2 to {clip.num_samples}, the samples of a clip of "
            f"`duration_s={clip.duration_s:g}` at {clip.sample_rate_hz} Hz: {fix}"
        )
    num_frames = 1 + clip.num_samples // hop_length if hop_length > 0 else 1
    view = replace(
        recipe,
        n_fft=n_fft,
        hop_length=hop_length,
        num_mels=num_mels,
        num_frames=num_frames,
        min_frequency_hz=min_frequency_hz,
        max_frequency_hz=max_frequency_hz,
    )
    _check_bands(view, clip.sample_rate_hz)
    padded = replace(view, num_frames=recipe.num_frames)  # the recipe's generator pads its clips
    return recipe if (clip, padded) == (RECIPE_CLIP, recipe) else view


def _check_bands(view: SpectrogramConfig, sample_rate_hz: int) -> None:
    """Refuse bands beyond half the sample rate, and more bands than FFT bins between the edges."""
    nyquist_hz = sample_rate_hz / 2
    highest_hz = nyquist_hz if view.max_frequency_hz is None else view.max_frequency_hz
    if highest_hz > nyquist_hz:
        raise ValueError(
            f"`max_frequency_hz={highest_hz:g}` must be at most {nyquist_hz:g}, half the sample "
            "rate: choose a lower frequency or a higher sample rate"
        )
    if not 0 <= view.min_frequency_hz < highest_hz:
        raise ValueError(
            f"`min_frequency_hz={view.min_frequency_hz:g}` must be at least 0 and below "
            f"{highest_hz:g}, the highest frequency"
        )
    num_bins = int((highest_hz - view.min_frequency_hz) * view.n_fft / sample_rate_hz) + 1
    if view.num_mels > num_bins:
        raise ValueError(
            f"`num_mels={view.num_mels}` must be at most {num_bins}, the FFT bins between "
            f"{view.min_frequency_hz:g} and {highest_hz:g} Hz with `n_fft={view.n_fft}`: use fewer "
            "bands or a longer window"
        )


def require_recipe_views(
    clip: ClipConfig, views: Mapping[str, SpectrogramConfig], name: str
) -> None:
    """Refuse the preset `reference` for other clips or spectrograms than the recipe's.

    Raises:
        UserError: They differ; the text names every difference.
    """
    pairs: list[tuple[Any, Any]] = [
        (clip, RECIPE_CLIP),
        (views[name], RECIPE_VIEWS[name]),
    ]
    differences = [
        f"{field} {getattr(mine, field)} instead of {getattr(recipe, field)}"
        for mine, recipe in pairs
        for field in asdict(recipe)
        if getattr(mine, field) != getattr(recipe, field)
    ]
    if differences:
        raise UserError(
            "`preset=reference` is made for the recipe's clips and spectrograms, but these have "
            f"{', '.join(differences)}: use `preset=default`"
        )
