"""A local folder for TensorBoard logs: the run's own, or one that is copied to remote storage."""

import sys
import tempfile
from pathlib import Path

from freqquest.storage import Location, upload_dir


class LogDir:
    """A local folder for an event writer; `sync` copies its files to a remote run folder."""

    def __init__(self, target: Location) -> None:
        self._target = target
        if target.is_local:
            target.make_dirs()
            self.path = Path(target.path)
        else:
            # Removed with this object.
            self._copy = tempfile.TemporaryDirectory(prefix="freqquest-tensorboard-")
            self.path = Path(self._copy.name)

    def sync(self) -> None:
        """Copy the logs to remote storage; do nothing for a local run.

        An error is printed, not raised, as it must not end a training: the next call tries again.
        """
        if not self._target.is_local:
            try:
                upload_dir(self.path, self._target)
            except OSError as error:
                print(f"{self._target} cannot be written now: {error}", file=sys.stderr)
