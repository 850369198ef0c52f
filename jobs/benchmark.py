"""Measure freqquest against the published recipes, and against its limits."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("benchmark")
