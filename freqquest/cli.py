"""What every job does around its one call: parse, connect, and fail in one clear line.

Light to import, so that `--help` answers at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from freqquest.cluster import connection, preflight
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError, render_parameters

Config = TypeVar("Config")

_TYRO = (tyro.conf.FlagCreatePairsOff,)

_DryRun = Annotated[
    bool, tyro.conf.arg(help="Only look whether the cluster and the storage can do it, and stop.")
]


def parse(config_type: type[Config], description: str | None) -> Config:
    """A job's settings from its command line, `--help` made from the dataclass; bad values exit with code 2.

    `--dry-run` ends the job too, after a look at the cluster.
    """
    return _unless_dry(tyro.cli(_with_dry_run(config_type), description=description, config=_TYRO))


def parse_one_of(config_types: dict[str, Any], description: str | None) -> Any:
    """As `parse`, for a job that is told by its first word what to do."""
    commands = {name: _with_dry_run(config_type) for name, config_type in config_types.items()}
    return _unless_dry(
        tyro.extras.subcommand_cli_from_dict(commands, description=description, config=_TYRO)
    )


def _with_dry_run(config_type: type[Config]) -> Any:
    """The settings, with one more option beside them."""
    settings: Any = Annotated[config_type, tyro.conf.OmitArgPrefixes]
    fields: list[Any] = [("settings", settings), ("dry_run", _DryRun, False)]
    return make_dataclass("Job", fields, frozen=True)


def _unless_dry(job: Any) -> Any:
    with report_errors():
        require_absolute_paths(job.settings.requirements)
        if job.dry_run:
            preflight.connect(job.settings.requirements, dry_run=True)
            sys.exit()
    return job.settings


def require_absolute_paths(requirements: Requirements) -> None:
    """Refuse relative paths of a submitted job: they would lie where the queue unpacked the code.

    Raises:
        UserError: There is one.
    """
    if not connection.is_submitted():
        return
    for option, path in (requirements.reads | requirements.writes).items():
        if path is not None and "://" not in path and not Path(path).expanduser().is_absolute():
            raise UserError(
                f"`{option}={path}` is relative to the folder that the queue makes for a job, and removes after it: give "
                "an absolute path, or a URI (s3://)"
            )


@contextmanager
def report_errors() -> Iterator[None]:
    """Errors of the user (2), of files and network (1), and Ctrl-C (130) end in one line and a code."""
    try:
        yield
    except UserError as error:
        _exit(_text(error), code=2)
    except OSError as error:
        _exit(_text(error), code=1)
    except KeyboardInterrupt:
        _exit("interrupted; finished stages are kept, and the same command takes them up", code=130)


@contextmanager
def connected_to_ray(requirements: Requirements) -> Iterator[None]:
    """Connect to Ray, if it can do what the job needs; errors are clear ones."""
    with report_errors():
        preflight.connect(requirements)
        yield


def _text(error: Exception) -> str:
    """Raised in a worker, an error is a Ray error too, whose own text is the whole remote traceback."""
    return str(getattr(error, "cause", error))


def _exit(problem: str, code: int) -> None:
    print(f"error: {with_flags(problem)}", file=sys.stderr)
    sys.exit(code)


def with_flags(text: str) -> str:
    """Return a text with its marked parameters as command-line flags."""
    return render_parameters(text, _flag)


def _flag(name: str, value: str | None) -> str:
    flag = f"--{name.replace('_', '-')}"
    return flag if value in (None, "True") else f"{flag} {value}"
