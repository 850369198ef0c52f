"""TensorBoard on a run's logs, also in remote storage, much of which it cannot read itself.

Light to import: `--help` reads the settings.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError

if TYPE_CHECKING:
    from freqquest.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchConfig:
    """Settings of a TensorBoard that only this machine can reach (127.0.0.1)."""

    run_dir: str
    """Run folder, or a folder of run folders: a path or a URI."""

    port: int = 6006
    """Port of TensorBoard; 0 takes a free one."""

    interval_s: float = 30.0
    """Seconds between two copies from remote storage."""

    def __post_init__(self) -> None:
        if self.interval_s <= 0:
            raise ValueError(f"`interval_s={self.interval_s}` must be above 0")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"`port={self.port}` must be from 0 to {2**16 - 1}")

    @property
    def requirements(self) -> Requirements:
        """Requirements of the job: the folder that it reads."""
        return Requirements(reads={"run_dir": self.run_dir})


def watch(config: WatchConfig) -> None:
    """Run TensorBoard until Ctrl+C. Remote logs are copied as they grow.

    Raises:
        UserError: The folder does not exist, or TensorBoard ended with an error.
    """
    from freqquest.storage import locate

    source = locate(config.run_dir)
    if not source.is_dir():
        raise UserError(f"`run_dir={source}` does not exist or is not a folder")
    with tempfile.TemporaryDirectory(prefix="freqquest-tensorboard-") as copy:
        folder = Path(source.path) if source.is_local else Path(copy)
        follow(source, folder)
        # TensorBoard ends with this process.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        command = [*tensorboard_command(folder), "--host", "127.0.0.1", "--port", str(config.port)]
        env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}  # no lines about missing GPUs
        with subprocess.Popen(command, env=env) as process:
            try:
                _follow_until_end(process, source, folder, config.interval_s)
            except KeyboardInterrupt:
                return
            finally:
                process.terminate()
        if process.returncode:
            raise UserError(f"TensorBoard ended with code {process.returncode}")


def tensorboard_command(folder: object) -> list[str]:
    """Return the command that starts this Python's TensorBoard on a local folder of logs."""
    return [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]


def _follow_until_end(
    process: subprocess.Popen[bytes], source: "Location", folder: Path, interval_s: float
) -> None:
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(interval_s)
        try:
            follow(source, folder)
        except OSError as error:
            print(f"{source} cannot be read now; it is tried again: {error}", file=sys.stderr)


def follow(source: "Location", folder: Path) -> None:
    """Bring a local copy of the event files in a remote folder up to date.

    Event files only grow, and TensorBoard keeps them open, so new bytes are appended. Files that
    are gone, as those of a trial that began again, are removed from the copy.
    """
    if source.is_local:
        return
    entries = {entry.path: entry for entry in source.walk() if "tfevents" in entry.path}
    for path, entry in entries.items():
        copy = folder / path
        num_copied = copy.stat().st_size if copy.exists() else 0
        if entry.num_bytes > num_copied:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with (source / path).open() as stream, copy.open("ab") as file:
                stream.seek(num_copied)
                shutil.copyfileobj(stream, file)
    for copy in folder.rglob("*tfevents*"):
        if copy.relative_to(folder).as_posix() not in entries:
            copy.unlink()
