"""Classify sounds, and find events in them, over HTTP (Ray Serve)."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("serve")
