"""Keras on TensorFlow: import both from here, at least the first time in a process.

Keras chooses its backend when it is first imported, and cannot change it later. No Ray.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from freqquest.errors import UserError

__all__ = ["keras", "tf"]


@contextmanager
def _tensorflow_backend() -> Iterator[None]:
    """Choose TensorFlow as the backend, and leave the variable as the user has set it.

    Raises:
        UserError: Keras is loaded already, with another backend.
    """
    loaded = sys.modules.get("keras")
    if loaded is not None and (backend := loaded.config.backend()) != "tensorflow":
        raise UserError(
            f"Keras is loaded with the backend {backend} in this process, but the classifier needs "
            "tensorflow: use another process, or set KERAS_BACKEND=tensorflow before Keras is "
            "imported"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    chosen = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        yield
    finally:
        del os.environ["KERAS_BACKEND"]
        if chosen is not None:
            os.environ["KERAS_BACKEND"] = chosen


with _tensorflow_backend():
    import keras
    import tensorflow as tf
