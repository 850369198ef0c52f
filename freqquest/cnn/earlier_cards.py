"""Cards of model files that earlier versions of freqquest wrote.

Version 3 has a `band_shift` that is a number of 128 bands, and version 2 has other names too.
"""

from typing import Any, cast

from freqquest.runs.metrics import Settings

_RENAMED_FIELDS = {"network": "cnn_config", "normalisation": "normalization"}
"""Fields of a version 2 card, and their names since version 3."""
_RENAMED_SETTINGS = {"normalisation": "normalization", "equaliser_db": "equalizer_db"}
"""Settings in a version 2 card, and their names since version 3."""


def renew(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a card as version 4 has it; others are returned as they are."""
    if content["version"] == 2:
        content = _from_version_2(content)
    return _from_version_3(content) if content["version"] == 3 else content


def _from_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a version 2 card with the names of version 3."""
    card = {_RENAMED_FIELDS.get(name, name): value for name, value in content.items()}
    settings = cast(Settings, card["cnn_config"])
    renamed = {_RENAMED_SETTINGS.get(name, name): value for name, value in settings.items()}
    trained_on = str(card["trained_on"]).replace("labelled", "labeled")
    return card | {"cnn_config": renamed, "trained_on": trained_on, "version": 3}


def _from_version_3(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a version 3 card with the shift as a share of its 128 bands."""
    settings = dict(cast(Settings, content["cnn_config"]))
    if "band_shift" in settings:
        settings["band_shift"] = float(settings["band_shift"]) / 128
    return content | {"cnn_config": settings, "version": 4}
