"""What every job does around its one call: parse, connect, and fail in one clear line.

Light to import, so that `--help` answers at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import tyro

from freqquest import cluster
from freqquest.errors import UserError

Config = TypeVar("Config")


def parse(config_type: type[Config], description: str | None) -> Config:
    """A job's settings from its command line, `--help` made from the dataclass; bad values exit with code 2."""
    return tyro.cli(config_type, description=description, config=(tyro.conf.FlagCreatePairsOff,))


@contextmanager
def on_ray() -> Iterator[None]:
    """Connect to Ray; a user's error ends the process in one line with exit code 2, Ctrl-C with 130."""
    try:
        cluster.connect()
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted: the same command again continues", file=sys.stderr)
        sys.exit(130)
