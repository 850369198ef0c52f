"""The error that a job prints as one clear line, without a traceback."""

import re
from collections.abc import Callable

_PARAMETER = re.compile(r"`([a-z]\w*)(?:=([^`]*))?`")


class UserError(ValueError):
    """Input or settings that cannot work. Say what is wrong, the value, the limit and the fix.

    The text marks parameters with backquotes: "`epochs=0` must be 1 or more",
    "pass `overwrite=True` to replace it". Library users read it as it stands; the command line
    turns the marks into flags.
    """

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the parameters that the text marks, in order of appearance."""
        return tuple(dict.fromkeys(match[1] for match in _PARAMETER.finditer(str(self))))


def render_parameters(text: str, render: Callable[[str, str | None], str]) -> str:
    """Replace each marked parameter of a text with `render(name, value)`; value may be None."""
    return _PARAMETER.sub(lambda match: render(match[1], match[2]), text)
