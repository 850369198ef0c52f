"""Convert a model for other runtimes: ONNX, LiteRT, TensorFlow."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("export")
