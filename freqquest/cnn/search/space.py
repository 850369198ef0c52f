"""What the search may vary. Light to import, but for `as_domains`.

Both presets lie in the space, so that the search can begin with them.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from freqquest.cnn.config import FLOOR_DB, CnnConfig
from freqquest.errors import UserError


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class LogRange:
    """Any value between two, all orders of magnitude alike."""

    low: float
    high: float


SPACE: dict[str, Choice | LogRange] = {
    # the network
    "network": Choice(("residual", "plain")),
    "num_blocks": Choice((3, 4)),
    "num_filters": Choice((16, 24, 32)),
    "input_pooling": Choice((1, 2)),
    "pooling": Choice(("average", "average_max")),
    "dense_units": Choice((0, 128)),
    "batch_norm_momentum": Choice((0.9, 0.99)),
    "normalization": Choice(("none", "dataset", "band", "clip", "clip_band", "dataset+clip_band")),
    "floor_db": Choice((FLOOR_DB, -60.0)),
    # the clips it sees
    "time_shift": Choice((True, False)),
    "band_shift": Choice((0, 3, 6)),
    "equalizer_db": Choice((0.0, 6.0, 12.0)),
    "noise_db": Choice((0.0, 30.0)),
    "num_masks": Choice((0, 1, 2)),
    "mixup": Choice((0.0, 0.1, 0.3, 1.0)),
    "recording_balance": Choice((0.0, 0.5, 1.0)),
    "class_balance": Choice((True, False)),
    "copies": Choice(("draw", "all")),
    # how it learns
    "optimizer": Choice(("adam", "adamw")),
    "learning_rate": LogRange(3e-4, 5e-3),
    "schedule": Choice(("one_cycle", "plateau")),
    "batch_size": Choice((16, 32, 64)),
    "min_steps": Choice((0, 20)),
    # what keeps it from learning by heart
    "weight_decay": Choice((0.0, 0.01, 0.02, 0.05)),
    "dropout": Choice((0.2, 0.3, 0.5)),
    "block_dropout": Choice((0.0, 0.1, 0.2)),
    "label_smoothing": Choice((0.0, 0.1)),
    "weight_average": Choice((0.0, 0.99)),
}


def narrow(only: tuple[str, ...]) -> dict[str, Choice | LogRange]:
    """The space with some settings held to the values that a user names.

    Args:
        only: `name=value` or `name=value,value,...`.

    Raises:
        UserError: A name is no setting, or a value none that it can have.
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
                f"--only {entry}: {name} is no setting of the classifier; settings: {', '.join(types)}"
            )
        values = tuple(_parse(value, types[name], entry) for value in listed.split(","))
        for value in values:
            try:
                dataclasses.replace(CnnConfig(), **{name: value})
            except ValueError as error:
                raise UserError(f"--only {entry}: {error}") from error
        space[name] = Choice(values)
    return space


def as_domains(space: dict[str, Choice | LogRange]) -> dict[str, Any]:
    """The space in Ray Tune's terms."""
    from ray import tune

    return {
        name: tune.loguniform(values.low, values.high)
        if isinstance(values, LogRange)
        else tune.choice(list(values.values))
        for name, values in space.items()
    }


def nearest(space: dict[str, Choice | LogRange], config: CnnConfig) -> dict[str, Any]:
    """The point of the space that has a configuration's values wherever the space allows them."""
    point = dataclasses.asdict(config)
    return {
        name: min(max(point[name], values.low), values.high)
        if isinstance(values, LogRange)
        else (point[name] if point[name] in values.values else values.values[0])
        for name, values in space.items()
    }


def _parse(text: str, kind: type, entry: str) -> Any:
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        raise UserError(f"--only {entry}: {text!r} is no {kind.__name__}") from error
