"""Checks of settings: fixed sets of values, two numbers, a pattern. Imports nothing heavy."""

import re
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints


def check_choices(settings: object) -> None:
    """Check each field of a dataclass whose type is a `Literal`, or a tuple of one.

    Raises:
        ValueError: A value is not one of the choices.
    """
    for name, kind in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        values = (value,)
        if get_origin(kind) in (Union, UnionType) and value is not None:
            kind = next(option for option in get_args(kind) if option is not NoneType)
        if get_origin(kind) is tuple:
            kind, values = get_args(kind)[0], value
        if get_origin(kind) is not Literal:
            continue
        for chosen in values:
            if chosen not in get_args(kind):
                raise ValueError(
                    f"`{name}={chosen}` must be one of: {', '.join(map(str, get_args(kind)))}"
                )


def number_range(name: str, value: str | int) -> tuple[int, int]:
    """Return the minimum and the maximum of a setting: a number, or MIN:MAX.

    Raises:
        ValueError: It is neither, or the maximum stands first.
    """
    first, colon, second = str(value).partition(":")
    second = second if colon else first
    if not first.isdecimal() or not second.isdecimal():
        raise ValueError(f"`{name}={value}` must be a number, or two such as 2:8")
    if int(second) < int(first):
        raise ValueError(f"`{name}={value}` must give the minimum first: {second}:{first}")
    return int(first), int(second)


def check_pattern(pattern: str) -> None:
    """Check the regular expression that finds recordings in file names.

    Raises:
        ValueError: It is none, or has not exactly one group.
    """
    try:
        num_groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(
            f"`recording_pattern={pattern}` is not a regular expression: {error}"
        ) from error
    if num_groups != 1:
        raise ValueError(
            f"`recording_pattern={pattern}` has {num_groups} groups: it needs exactly one, around "
            "the recording's name"
        )
