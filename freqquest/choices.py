"""Check of settings that have a fixed set of values. Imports nothing heavy."""

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
