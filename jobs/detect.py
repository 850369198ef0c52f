"""Find the sounds in long recordings (Ray Data)."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("detect")
