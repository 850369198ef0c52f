"""TODO: say what this module is for."""

from typing import Literal

Preset = Literal["default", "reference"]
"""`reference` is the published recipe exactly; `default` is the best that was measured."""
