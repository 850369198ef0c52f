"""Generate new clips of a class with a trained generator."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("generate")
