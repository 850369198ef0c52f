"""The form that a command line fills: settings as flags, and their `--help`, by tyro.

Light to import, so that `--help` answers at once.
"""

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Collection, Sequence
from functools import partial
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

import tyro

from freqquest import help_layout
from freqquest.errors import render_parameters

_NUMBERS: dict[object, str] = {int: "a whole number", float: "a number"}
"""Types of settings that are numbers, in words."""

_ANNOTATED: Any = Annotated
"""`Annotated`, for types that exist only at run time."""


def fill_form(
    config_type: type[Any],
    arguments: Sequence[str],
    prog: str,
    description: str,
    examples: Sequence[str],
) -> Any:
    """Return a form with the values of a command line; `--help` ends with examples."""
    try:
        return tyro.cli(
            _form(config_type),
            args=_join_values(config_type, arguments),
            prog=prog,
            description=inspect.cleandoc(description),
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except SystemExit as end:
        if end.code in (None, 0) and {"-h", "--help"} & set(arguments):
            print("Examples:", *(_wrap(f"{prog} {example}") for example in examples), sep="\n")
        raise


def _join_values(config_type: type[Any], arguments: Sequence[str]) -> list[str]:
    """Join flags with values that begin with a dash, which would be taken for flags."""
    names = ["dry_run", *config_type.__dataclass_fields__]
    flags = {"-h", "--help", *(flag(name) for name in names)}
    joined: list[str] = []
    for argument in arguments:
        is_value = argument.startswith("-") and argument.partition("=")[0] not in flags
        if is_value and joined and joined[-1] in flags:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _form(config_type: type[Any]) -> type[Any]:
    """Return a dataclass of the same settings in titled groups, for tyro, and of `--dry-run`."""
    hints = get_type_hints(config_type)
    docs = field_docs(config_type)
    fields = {field.name: field for field in dataclasses.fields(config_type)}
    groups = []
    for title, names in help_layout.groups_of(config_type.__name__, fields).items():
        arguments = [
            _argument(fields[name], hints[name], _help(docs.get(name, ""), fields))
            for name in names
        ]
        group = dataclasses.make_dataclass("Group", arguments, kw_only=True)
        titled = _ANNOTATED[group, tyro.conf.arg(name=title, help=""), tyro.conf.OmitArgPrefixes]
        groups.append((title.replace(" ", "_"), titled))
    help_of_dry_run = tyro.conf.arg(
        help="Check the cluster and the storage, then exit.", help_behavior_hint=""
    )
    dry_run = ("dry_run", _ANNOTATED[bool, help_of_dry_run], dataclasses.field(default=False))
    return dataclasses.make_dataclass("Form", [*groups, dry_run], kw_only=True)


def _argument(
    field: "dataclasses.Field[Any]", hint: object, text: str
) -> tuple[str, object, "dataclasses.Field[Any]"]:
    is_optional = NoneType in get_args(hint)
    kind = next(kind for kind in get_args(hint) if kind is not NoneType) if is_optional else hint
    metavar = help_layout.placeholder(field.name, kind)
    shown = [tyro.conf.arg(metavar=metavar, help=text, help_behavior_hint=_show_default)]
    if kind in _NUMBERS:
        shown.append(_number(kind, is_optional))
    default: dataclasses.Field[Any] = dataclasses.field(default=field.default)
    if field.default_factory is not dataclasses.MISSING:
        default = dataclasses.field(default_factory=field.default_factory)
    return field.name, _ANNOTATED[hint, *shown], default


def _number(kind: Any, is_optional: bool) -> Any:
    """Return a parser of numbers, or also of None, whose error is plain English."""

    def parse(words: list[str]) -> Any:
        if is_optional and words == ["None"]:
            return None
        try:
            return kind(words[0])
        except ValueError as error:
            raise ValueError(f"{words[0]} must be {_NUMBERS[kind]}") from error

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N",
        instance_from_str=parse,
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


def _wrap(command: str) -> str:
    """Return a command that the shell reads as one line."""
    lines = textwrap.wrap(command, 90, break_long_words=False, break_on_hyphens=False)
    return "  " + " \\\n      ".join(lines)


def _show_default(default: str) -> str:
    if default == "None":
        return "(optional)"
    return "" if default in ("", "False") else f"(default: {default})"


def _help(doc: str, fields: Collection[str]) -> str:
    """Return a docstring for `--help`: paragraphs in one line each, fields as flags."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", doc)]
    return render_parameters("\n\n".join(paragraphs), partial(_flag_or_mark, fields=fields))


def _flag_or_mark(name: str, value: str | None, fields: Collection[str]) -> str:
    if name in fields:
        return flag(name, value)
    return f"`{name}`" if value is None else f"`{name}={value}`"


def field_docs(config_type: type) -> dict[str, str]:
    """Return the docstring below each field of a dataclass, which only its source holds."""
    docs = {}
    for base in reversed(config_type.__mro__[:-1]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, doc in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(doc, ast.Expr)
                and isinstance(doc.value, ast.Constant)
            ):
                docs[field.target.id] = inspect.cleandoc(str(doc.value.value))
    return docs


def flag(name: str, value: str | None = None) -> str:
    """Return the flag of a setting, with a value unless it is True."""
    option = f"--{name.replace('_', '-')}"
    return option if value in (None, "True") else f"{option} {value}"
