"""The command line of all jobs: settings, `--help`, errors in one line, and the flags in them.

Only the modules of the command line know flags: errors of the package mark parameters with
backquotes.
Light to import, so that `--help` answers at once.
"""

import dataclasses
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from freqquest.cli_form import fill_form, flag
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
    groups = dataclasses.asdict(fill_form(config_type, arguments, prog, description, examples))
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
            return flag(name, value)
        return name if value is None else f"{name}={value}"

    return render_parameters(text, render)
