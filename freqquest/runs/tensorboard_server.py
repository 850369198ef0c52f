"""TensorBoard on logs in remote storage, which its own readers mostly cannot open.

Light to import: `--help` reads the settings.
"""

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
    """TensorBoard, on this machine alone (127.0.0.1)."""

    run_dir: str
    """Run folder, or a folder of them: a path or a URI."""

    port: int = 6006
    """Where TensorBoard answers; 0 takes a free one."""

    interval_s: float = 30.0
    """Time between two looks at remote storage."""

    def __post_init__(self) -> None:
        if self.interval_s <= 0:
            raise ValueError(f"interval_s={self.interval_s} must be above 0")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port={self.port} must be from 0 to {2**16 - 1}")

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster."""
        return Requirements(reads={"run_dir": self.run_dir})


def watch(config: WatchConfig) -> None:
    """Run TensorBoard until it is ended (Ctrl+C).

    Raises:
        UserError: The folder does not exist, or TensorBoard ended with an error.
    """
    from freqquest.storage import locate

    source = locate(config.run_dir)
    if not source.is_dir():
        raise UserError(f"--run-dir {source} does not exist or is not a folder")
    with tempfile.TemporaryDirectory(prefix="freqquest-tensorboard-") as copy:
        folder = Path(source.path) if source.is_local else Path(copy)
        follow(source, folder)
        tensorboard = Path(sys.executable).parent / "tensorboard"
        command = [
            str(tensorboard),
            "--logdir",
            str(folder),
            "--host",
            "127.0.0.1",
            "--port",
            str(config.port),
        ]
        signal.signal(
            signal.SIGTERM, signal.default_int_handler
        )  # TensorBoard ends with this process
        with subprocess.Popen(command) as process:
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(config.interval_s)
                    try:
                        follow(source, folder)
                    except OSError as error:
                        print(
                            f"{source} cannot be read now, and is looked at again: {error}",
                            file=sys.stderr,
                        )
            except KeyboardInterrupt:
                return
            finally:
                process.terminate()
        if process.returncode:
            raise UserError(f"TensorBoard ended with code {process.returncode}")


def follow(source: "Location", folder: Path) -> None:
    """Bring a local copy of the event files below a folder up to date.

    Event files only grow, and TensorBoard keeps them open: what is new is added at their ends. Those of a trial that
    began again go.
    """
    if source.is_local:
        return
    entries = {entry.path: entry for entry in source.walk() if "tfevents" in entry.path}
    for path, entry in entries.items():
        copy = folder / path
        num_there = copy.stat().st_size if copy.exists() else 0
        if entry.num_bytes > num_there:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with (source / path).open() as stream, copy.open("ab") as file:
                stream.seek(num_there)
                shutil.copyfileobj(stream, file)
    for copy in folder.rglob("*tfevents*"):
        if copy.relative_to(folder).as_posix() not in entries:
            copy.unlink()
