"""Checks of settings: choices, types, two numbers, a pattern. Imports nothing heavy."""

import re
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict


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


def check_types(parsed: Any, kind: Any) -> None:
    """Check that a record that was made of a JSON file has values of its types, down to the last.

    Args:
        parsed: The record.
        kind: Its type: a dataclass, NamedTuple or TypedDict. Fields may be records too.

    Raises:
        TypeError, KeyError: A value is of another type, or missing.
    """
    for name, hint in _hints(kind).items():
        value = _field(parsed, name, kind)
        if not _fits(value, hint):
            raise TypeError(f"{name}={value!r:.60} is not of the type {hint}")


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _field(record: Any, name: str, kind: Any) -> Any:
    return record[name] if is_typeddict(kind) else getattr(record, name)


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value, and all in it, is of a type."""
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in of)
    if origin is Literal:
        return value in of
    if origin is list:
        return isinstance(value, list) and all(_fits(each, of[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, of[0]) and _fits(each, of[1]) for key, each in value.items()
        )
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(of) and all(map(_fits, value, of))
    if kind in (int, float):  # an API's user may give 4 for 4.0, and the reverse
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (kind is float or value == value // 1)
    if not isinstance(value, dict if is_typeddict(kind) else kind):
        return False
    is_record = hasattr(kind, "__annotations__")
    return not is_record or all(
        _fits(_field(value, name, kind), hint) for name, hint in _hints(kind).items()
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
