"""Keras and its backend: import `keras` and `tf` from here, at least the first time in a process.

Keras chooses its backend when it is first imported, and cannot change it later. Here that is
TensorFlow, unless `choose_backend` was called first. No Ray.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from freqquest.errors import UserError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

__all__ = ["Backend", "choose_backend", "keras", "tf"]

Backend = Literal["tensorflow", "torch"]
"""Framework that Keras computes with."""

_chosen: Backend = "tensorflow"


def choose_backend(backend: Backend) -> None:
    """Load Keras with a backend, and on torch let it never load TensorFlow.

    Raises:
        UserError: Keras is loaded already, with another backend.
    """
    global _chosen
    loaded = sys.modules.get("keras")
    if loaded is None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with _environment("KERAS_BACKEND", backend):
            import keras  # noqa: F401
    elif (other := loaded.config.backend()) != backend:
        raise UserError(
            f"Keras is loaded with the backend {other} in this process, but the classifier needs "
            f"{backend}: use another process, or set KERAS_BACKEND={backend} before Keras is "
            "imported"
        )
    if backend == "torch":
        from freqquest.cnn.keras_internals import never_import_tensorflow

        never_import_tensorflow()
    _chosen = backend


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, and then leave it as the user has set it."""
    earlier = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if earlier is not None:
            os.environ[name] = earlier


if not TYPE_CHECKING:  # a type checker would take any name for one of this module

    def __getattr__(name: str) -> object:
        if name not in ("keras", "tf"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        choose_backend("tensorflow" if name == "tf" else _chosen)
        return import_module({"keras": "keras", "tf": "tensorflow"}[name])
