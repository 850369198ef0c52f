"""A kind of file that freqquest reads: a small valid one, its reader, and the refusals."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freqquest.errors import UserError
from freqquest.storage import Location, locate


@dataclass(repr=False)
class Target:
    """A kind of file."""

    read: Callable[[bytes], object]
    content: bytes = b""
    """A valid file."""
    json: Any = None
    """JSON in it, if there is any."""
    wrap: Callable[[bytes], bytes] = field(default=bytes)
    """Makes a file of the JSON's text."""
    refusals: tuple[type[Exception], ...] = (UserError,)
    """What its reader raises for damaged files."""

    def __post_init__(self) -> None:
        if self.json is not None:
            self.content = self.wrap(json.dumps(self.json).encode())

    def is_refused(self, content: bytes) -> bool:
        try:
            self.read(content)
        except self.refusals:
            return True
        return False


def save(file: Path, content: bytes) -> Location:
    """Write a file, and return its location."""
    file.write_bytes(content)
    return locate(file)
