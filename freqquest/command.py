"""What every job does around its one call: parse, connect, and fail in one clear line.

Light to import, so that `--help` answers at once.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import tyro

from freqquest import cluster
from freqquest.errors import UserError

Config = TypeVar("Config")


def parse(config_type: type[Config], description: str | None) -> Config:
    """A job's settings from its command line, `--help` made from the dataclass; bad values exit with code 2."""
    return tyro.cli(config_type, description=description, config=(tyro.conf.FlagCreatePairsOff,))


def parse_one_of(config_types: dict[str, Callable[..., Config]], description: str | None) -> Config:
    """As `parse`, for a job that is told by its first word what to do."""
    return tyro.extras.subcommand_cli_from_dict(
        config_types, description=description, config=(tyro.conf.FlagCreatePairsOff,)
    )


@contextmanager
def clear_errors() -> Iterator[None]:
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
def on_ray() -> Iterator[None]:
    """Connect to Ray; errors are clear ones."""
    with clear_errors():
        cluster.connect()
        yield


def _text(error: Exception) -> str:
    """Raised in a worker, an error is a Ray error too, whose own text is the whole remote traceback."""
    return str(getattr(error, "cause", error))


def _exit(problem: str, code: int) -> None:
    print(f"error: {problem}", file=sys.stderr)
    sys.exit(code)
