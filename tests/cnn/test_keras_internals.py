"""The private names of Keras that we use still do what we expect; check a new Keras here.

That Keras on torch then loads no TensorFlow is tested in tests/cnn/test_frameworks.py.
"""

import keras
from keras.src.utils.module_utils import LazyModule

from freqquest.cnn import keras_internals


def test_the_version_is_the_one_that_was_checked():
    assert keras.__version__ == keras_internals.CHECKED_VERSION


def test_tensorflow_stays_available_where_it_is_loaded(monkeypatch):
    lazy = LazyModule("tensorflow")
    monkeypatch.setattr("keras.src.utils.module_utils.tensorflow", lazy)
    keras_internals.never_import_tensorflow()
    assert lazy.available


def test_a_module_that_is_marked_as_missing_is_not_imported():
    lazy = LazyModule("antigravity")
    lazy._available = False
    assert not lazy.available
    assert lazy.module is None
