"""Networks whose settings are known by the hash of their file. Imports nothing."""

from typing import NamedTuple


class KnownNetwork(NamedTuple):
    """What the file of a network does not tell."""

    title: str
    sample_rate_hz: int
    tensor: str
    """Name of the tensor with the vector, or a part of it that no other one has."""
    license: str


KNOWN = {
    "687f226c147a2caab4706fbbab5e9cecb14b9a368264bf61108078b1fddf68f5": KnownNetwork(
        title="YAMNet (Google, trained on AudioSet)",
        sample_rate_hz=16_000,
        tensor="global_average_pooling2d/Mean",
        license="Apache-2.0",
    ),
}
"""Known networks, by SHA-256."""
