"""Private APIs of Keras, in one place. Checked with Keras 3.15.1.

Names that Keras neither documents nor promises to keep; tests/cnn/test_keras_internals.py fails
when one of them changes. Keras is imported inside the functions; no Ray.
"""

import sys

CHECKED_VERSION = "3.15.1"


def never_import_tensorflow() -> None:
    """Let Keras on torch believe that TensorFlow is not installed, unless it is loaded already.

    Otherwise Keras would import it to save a model or to set a seed: seconds and memory for
    nothing, beside another framework on the same GPU.
    """
    from keras.src.utils.module_utils import tensorflow

    if "tensorflow" not in sys.modules:
        tensorflow._available = False
