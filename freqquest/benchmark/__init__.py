"""Benchmarks of freqquest, listed in `registry`.

`<name>.py` measures and `<name>_config.py` holds the settings. What only one benchmark needs begins
with its name.
"""
