"""`freqquest <job> ...` and `python -m freqquest <job> ...`."""

import sys
from pathlib import Path

import freqquest
from freqquest.cli import choose
from freqquest.commands import run_job, summaries
from freqquest.terminal import tolerant_output


def main() -> None:
    """Run the job that the first argument names."""
    is_command = Path(sys.argv[0]).stem == "freqquest"
    prog = "freqquest" if is_command else "python -m freqquest"
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"freqquest {freqquest.__version__}")
        return
    with tolerant_output():
        name = choose(
            arguments,
            summaries(),
            prog=prog,
            kind="job",
            description="Distributed audio training jobs on Ray: classifiers and generators of "
            "clips.",
        )
        run_job(name, arguments[1:], f"{prog} {arguments[0]}")


if __name__ == "__main__":
    main()
