"""Run every stage: dataset, classifier, submission, generator, new clips, report."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("pipeline")
