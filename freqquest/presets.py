"""The presets that the classifier and the generator share. Imports nothing heavy."""

from typing import Literal

Preset = Literal["default", "reference"]
"""`reference` is the published recipe exactly; `default` is the best that was measured."""
