"""Where TensorBoard logs go: straight into a local run folder, or by way of a local folder into remote storage."""

import sys
import tempfile
from pathlib import Path

from freqquest.storage import Location, upload_dir


class LogDir:
    """A local folder for an event writer; `sync` brings what was written to where the run lies."""

    def __init__(self, target: Location) -> None:
        self._target = target
        if target.is_local:
            target.make_dirs()
            self.path = Path(target.path)
        else:
            self._copy = tempfile.TemporaryDirectory(
                prefix="freqquest-tensorboard-"
            )  # which goes with this object
            self.path = Path(self._copy.name)

    def sync(self) -> None:
        """Copy the logs to remote storage; nothing happens for a local run. Where that fails, the next one does it."""
        if not self._target.is_local:
            try:
                upload_dir(self.path, self._target)
            except OSError as error:  # which must not end a training
                print(f"{self._target} cannot be written now: {error}", file=sys.stderr)
