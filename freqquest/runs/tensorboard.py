"""Where TensorBoard logs go: straight into a local run folder, or by way of a local folder into remote storage."""

import shutil
import tempfile
from pathlib import Path

from freqquest.runs.storage import Location, upload_dir


class LogDir:
    """A local folder for an event writer; `sync` brings what was written to where the run lies."""

    def __init__(self, target: Location) -> None:
        self._target = target
        if target.is_local:
            target.make_dirs()
            self.path = Path(target.path)
        else:
            self.path = Path(tempfile.mkdtemp(prefix="freqquest-tensorboard-"))

    def sync(self) -> None:
        """Copy the logs to remote storage; nothing happens for a local run."""
        if not self._target.is_local:
            upload_dir(self.path, self._target)

    def close(self) -> None:
        """Copy them for the last time."""
        self.sync()
        if not self._target.is_local:
            shutil.rmtree(self.path)
