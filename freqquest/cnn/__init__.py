"""The classifier; the only package that imports Keras."""

import os

# Read by Keras and TensorFlow when they are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
