"""The command line of all jobs: settings, `--help`, errors in one line, and the flags in them.

The only module that knows flags: errors of the package mark parameters with backquotes.
Light to import, so that `--help` answers at once.
"""

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, get_args, get_type_hints

import tyro

from freqquest import help_layout
from freqquest.cluster import connection, preflight
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError, render_parameters


class JobConfig(Protocol):
    """Settings of a job: a dataclass that states what the job requires of the cluster."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]

    @property
    def requirements(self) -> Requirements:
        """The job's requirements on the cluster and the storage."""


Config = TypeVar("Config", bound=JobConfig)

_NUMBERS: dict[object, str] = {int: "a whole number", float: "a number"}
"""Types of settings that are numbers, in words."""

_ANNOTATED: Any = Annotated
"""`Annotated`, for types that exist only at run time."""


def parse(
    config_type: type[Config],
    arguments: Sequence[str],
    *,
    prog: str,
    description: str,
    examples: Sequence[str] = (),
) -> Config:
    """Return a job's settings from its command line; bad ones end the process with code 2.

    `--dry-run` ends it too, after a check of the cluster.

    Args:
        config_type: Dataclass of the settings, whose field docstrings become `--help`.
        arguments: Command line after the job's name.
        prog: Command that started the job, for `--help`.
        description: Summary of the job.
        examples: Arguments of example commands.
    """
    groups = dataclasses.asdict(_fill_form(config_type, arguments, prog, description, examples))
    is_dry_run = groups.pop("dry_run")
    values = {name: value for group in groups.values() for name, value in group.items()}
    with report_errors(config_type):
        try:
            config = config_type(**values)
        except ValueError as error:
            raise UserError(str(error)) from error
        require_absolute_paths(config.requirements)
        if is_dry_run:
            preflight.connect(config.requirements, dry_run=True)
            sys.exit(0)
    return config


def choose(
    arguments: Sequence[str], choices: dict[str, str], *, prog: str, kind: str, description: str
) -> str:
    """Return the choice that the first argument names; print all choices if it names none.

    Args:
        arguments: Command line after `prog`.
        choices: Summary of each choice.
        prog: Command that was typed.
        kind: Noun for a choice.
        description: First line of the text.
    """
    first = arguments[0] if arguments else None
    if first is not None and (name := first.replace("-", "_")) in choices:
        return name
    width = max(map(len, choices))
    text = "\n".join(
        [
            f"usage: {prog} {kind.upper()} [OPTIONS]",
            "",
            description,
            "",
            *(f"  {name:<{width}}  {summary}" for name, summary in choices.items()),
            "",
            f"Options of a {kind}: {prog} {kind.upper()} --help",
        ]
    )
    if first in ("-h", "--help"):
        print(text)
        sys.exit(0)
    if first is not None:
        _exit(f"{kind} {first} must be one of: {', '.join(choices)}", code=2)
    print(text, file=sys.stderr)
    sys.exit(2)


def _fill_form(
    config_type: type[JobConfig],
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


def _join_values(config_type: type[JobConfig], arguments: Sequence[str]) -> list[str]:
    """Join flags with values that begin with a dash, which would be taken for flags."""
    names = ["dry_run", *config_type.__dataclass_fields__]
    flags = {"-h", "--help", *(_flag(name, None) for name in names)}
    joined: list[str] = []
    for argument in arguments:
        is_value = argument.startswith("-") and argument.partition("=")[0] not in flags
        if is_value and joined and joined[-1] in flags:
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _form(config_type: type[JobConfig]) -> type[Any]:
    """Return a dataclass of the same settings in titled groups, for tyro, and of `--dry-run`."""
    hints = get_type_hints(config_type)
    docs = _field_docs(config_type)
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
        return _flag(name, value)
    return f"`{name}`" if value is None else f"`{name}={value}`"


def _field_docs(config_type: type) -> dict[str, str]:
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


def require_absolute_paths(requirements: Requirements) -> None:
    """Refuse relative paths of a submitted job: they would be inside the queue's folder.

    Raises:
        UserError: A path is relative.
    """
    if not connection.is_submitted():
        return
    for name, path in (requirements.reads | requirements.writes).items():
        if path is not None and "://" not in path and not Path(path).expanduser().is_absolute():
            raise UserError(
                f"`{name}={path}` is relative to the folder that the queue makes for a job and "
                "removes after it: give an absolute path, or a URI (s3://)"
            )


@contextmanager
def report_errors(config_type: type[JobConfig] | None = None) -> Iterator[None]:
    """Turn errors into one line and an exit code, with the flags of a job.

    User errors end with 2, errors of files and network with 1, and Ctrl+C with 130.
    """
    fields = None if config_type is None else set(config_type.__dataclass_fields__)
    plain, preflight.render = preflight.render, partial(with_flags, fields=fields)
    try:
        yield
    except BrokenPipeError:
        raise  # of the terminal: `tolerant_output` ends quietly
    except UserError as error:
        _exit(with_flags(_message(error), fields), code=2)
    except OSError as error:
        _exit(_message(error), code=1)
    except KeyboardInterrupt:
        _exit("interrupted; finished stages are kept: run the same command to continue", code=130)
    finally:
        preflight.render = plain


def _message(error: Exception) -> str:
    """Return an error's text; of one raised in a worker, not the whole remote traceback."""
    return str(getattr(error, "cause", error))


def _exit(problem: str, code: int) -> None:
    print(f"error: {problem}", file=sys.stderr)
    sys.exit(code)


def with_flags(text: str, fields: Collection[str] | None = None) -> str:
    """Return a text with its marked parameters as command-line flags.

    Args:
        text: Text that marks parameters with backquotes.
        fields: Settings of the job; other parameters keep their names. None takes all for settings.
    """

    def render(name: str, value: str | None) -> str:
        if fields is None or name in fields:
            return _flag(name, value)
        return name if value is None else f"{name}={value}"

    return render_parameters(text, render)


def _flag(name: str, value: str | None) -> str:
    flag = f"--{name.replace('_', '-')}"
    return flag if value in (None, "True") else f"{flag} {value}"
