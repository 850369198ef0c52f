"""The classifier; the only package that imports Keras."""
