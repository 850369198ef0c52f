"""What every job does around its one call: parse, connect to Ray, and fail in one clear line.

Light to import, so that `--help` answers at once.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import tyro

from freqquest.errors import UserError

Config = TypeVar("Config")

_LOCAL_OBJECT_STORE_BYTES = 512 * 2**20
"""Ray would take 30 % of the machine's memory; what the jobs pass between processes is far smaller."""


def parse(config_type: type[Config], description: str | None) -> Config:
    """A job's settings from its command line, `--help` made from the dataclass; bad values exit with code 2."""
    return tyro.cli(config_type, description=description, config=(tyro.conf.FlagCreatePairsOff,))


@contextmanager
def on_ray() -> Iterator[None]:
    """Connect to the Ray cluster this machine belongs to, else start Ray here; report errors in one line.

    A user's error ends the process with exit code 2, Ctrl-C with 130; any other error keeps its traceback.
    """
    try:
        _connect()
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted: the same command again continues", file=sys.stderr)
        sys.exit(130)


def _connect() -> None:
    # Read by Ray when it is imported or started; where a cluster exists already, it has settings of its own.
    os.environ.setdefault("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(_LOCAL_OBJECT_STORE_BYTES))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return
    # Progress is shown by the driver; what workers print lies in Ray's logs, and their errors come as exceptions.
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.WARNING)
