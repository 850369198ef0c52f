"""The path of a generator file, checked without torch."""

from typing import TYPE_CHECKING

from freqquest.errors import UserError

if TYPE_CHECKING:
    from freqquest.storage import Location

FIX = "give the generator.safetensors of a train_cgan run"
"""End of all errors about an unusable generator file."""


def require_file(file: "Location", parameter: str) -> None:
    """Refuse a path that is not a file.

    Args:
        file: generator.safetensors of a train_cgan run.
        parameter: Name of the parameter that gave the path, for the error.

    Raises:
        UserError: It is a folder, or does not exist.
    """
    if not file.is_file():
        problem = "is a folder" if file.exists() else "does not exist"
        raise UserError(f"`{parameter}={file}` {problem}: {FIX}")
