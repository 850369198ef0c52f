"""The search space. Light to import; `as_domains` loads Ray Tune.

Both presets are in the space, so that the search can start from them.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freqquest.cnn.config import FLOOR_DB, CnnConfig
from freqquest.errors import UserError, render_parameters
from freqquest.runs.metrics import Setting, Settings

if TYPE_CHECKING:
    from ray.tune.search.sample import Domain


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class LogRange:
    """A value between two limits, distributed uniformly on a logarithmic scale."""

    low: float
    high: float


Space = dict[str, Choice | LogRange]
"""Values that each setting may take, by name."""

SPACE: Space = {
    # network
    "network": Choice(("residual", "plain")),
    "num_blocks": Choice((3, 4)),
    "num_filters": Choice((16, 24, 32)),
    "input_pooling": Choice((1, 2)),
    "pooling": Choice(("average", "average_max")),
    "dense_units": Choice((0, 128)),
    "batch_norm_momentum": Choice((0.9, 0.99)),
    "normalization": Choice(("none", "dataset", "band", "clip", "clip_band", "dataset+clip_band")),
    "floor_db": Choice((FLOOR_DB, -60.0)),
    # input clips and augmentation
    "time_shift": Choice((True, False)),
    "band_shift": Choice((0.0, 3 / 128, 6 / 128)),
    "equalizer_db": Choice((0.0, 6.0, 12.0)),
    "noise_db": Choice((0.0, 30.0)),
    "num_masks": Choice((0, 1, 2)),
    "mixup": Choice((0.0, 0.1, 0.3, 1.0)),
    "recording_balance": Choice((0.0, 0.5, 1.0)),
    "class_balance": Choice((True, False)),
    "copies": Choice(("draw", "all")),
    # training
    "optimizer": Choice(("adam", "adamw")),
    "learning_rate": LogRange(3e-4, 5e-3),
    "schedule": Choice(("one_cycle", "plateau")),
    "batch_size": Choice((16, 32, 64)),
    "min_steps": Choice((0, 20)),
    # regularization
    "weight_decay": Choice((0.0, 0.01, 0.02, 0.05)),
    "dropout": Choice((0.2, 0.3, 0.5)),
    "block_dropout": Choice((0.0, 0.1, 0.2)),
    "label_smoothing": Choice((0.0, 0.1)),
    "weight_average": Choice((0.0, 1 / 3)),
}


_OF_WEIGHTS = (
    "network",
    "num_blocks",
    "num_filters",
    "input_pooling",
    "pooling",
    "dense_units",
    "normalization",
    "floor_db",
)
"""Settings that weights depend on."""


def narrow(only: tuple[str, ...], start: CnnConfig | None = None) -> Space:
    """Restrict settings of the space to the values that a user lists.

    Args:
        only: `name=value` or `name=value,value,...`.
        start: Configuration of weights that the trainings start from.

    Raises:
        UserError: A name is not a setting, or a value is not valid for it, or for the weights.
    """
    types = {
        field.name: type(getattr(CnnConfig(), field.name))
        for field in dataclasses.fields(CnnConfig)
    }
    space = dict(SPACE)
    for entry in only:
        name, _, listed = entry.partition("=")
        if name not in types:
            raise UserError(
                f"`only={entry}`: {name} must be a setting of the classifier, one of: "
                f"{', '.join(types)}"
            )
        values = tuple(_parse(value, types[name], entry) for value in listed.split(","))
        for value in values:
            try:
                cnn_config_of({name: value})
            except ValueError as error:
                problem = render_parameters(str(error), lambda setting, value: f"{setting}={value}")
                raise UserError(f"`only={entry}`: {problem}") from error
        space[name] = Choice(values)
        if start is not None and name in _OF_WEIGHTS and values != (getattr(start, name),):
            raise UserError(
                f"`only={entry}`: the model of `start_from` has {name}={getattr(start, name)}, "
                "which its weights need: leave it out"
            )
    if start is None:
        return space
    listed_names = {entry.partition("=")[0] for entry in only}
    return {
        name: values if name in listed_names else _around(name, values, start)
        for name, values in space.items()
    }


def _around(name: str, values: Choice | LogRange, start: CnnConfig) -> Choice | LogRange:
    """Return the values of a setting for trainings that start from weights."""
    own = getattr(start, name)
    if name in _OF_WEIGHTS:
        return Choice((own,))
    if isinstance(values, LogRange):
        return LogRange(own / 3, own * 3)
    return Choice((own, *(value for value in values.values if value != own)))


def cnn_config_of(params: Settings) -> CnnConfig:
    """Return the configuration at a point of the space; a trial's seed is ignored.

    A search that an earlier version began has shifts in bands, of which there were 128.
    """
    settings = {name: value for name, value in params.items() if name != "seed"}
    if isinstance(band_shift := settings.get("band_shift"), int):
        settings["band_shift"] = band_shift / 128
    build: Callable[..., CnnConfig] = CnnConfig
    return build(**settings)


def as_domains(space: Space) -> dict[str, "Domain"]:
    """Convert the space to domains of Ray Tune."""
    from ray import tune

    return {
        name: tune.loguniform(values.low, values.high)
        if isinstance(values, LogRange)
        else tune.choice(list(values.values))
        for name, values in space.items()
    }


def nearest(space: Space, config: CnnConfig) -> Settings:
    """Return the point of the space with a configuration's values, as far as the space allows."""
    point = dataclasses.asdict(config)
    return {
        name: min(max(point[name], values.low), values.high)
        if isinstance(values, LogRange)
        else (point[name] if point[name] in values.values else values.values[0])
        for name, values in space.items()
    }


def _parse(text: str, kind: type, entry: str) -> Setting:
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        raise UserError(f"`only={entry}`: {text!r} is not of type {kind.__name__}") from error
