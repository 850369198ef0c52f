"""Damage to valid files, and limits on what reading a damaged file may cost."""

import copy
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MAX_S, MAX_MB = 10.0, 500.0
"""Limits of reading one file."""

_NUM_EXAMPLES = os.environ.get("FREQQUEST_FUZZ_EXAMPLES")
"""Examples for each kind of file; None for the few of the suite, which never change."""

_MEMORY = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")

DEEP = b"[" * 100_000 + b"]" * 100_000
"""A list in a list, and so on, as JSON."""

_DEEP_MARK = "a deep list"
"""Stands for DEEP, which `json` cannot write."""

_VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 255, 3, 2**31, -(2**31), 2**63, 10**400, -(10**400)),
    *(0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", "1", "x", "\0", "\ud800", "../x", "=1+1", "x" * 10_000),
    *([], {}, [0], ["x"], [[]], [None], {"x": 0}, {"": {}}, _DEEP_MARK),
]
"""Values of every type, and extreme ones."""

_BYTES = [
    *(b"", b"\0", b"\xff", b"\x80", b"\n", b"\r", b'"', b",", b"\t", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b"\0\0", b"\xff\xff", b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"),
    *(b"\0\0\0\x80", b"\x80\0\0\0", b"\0" * 8, b"\xff" * 8, b"\xff" * 7 + b"\x7f"),
    *(b"-1", b"9" * 20, b"NaN", b"1e999", b"'", b"[" * 5_000, b"{" * 5_000, b"\0" * 5_000),
]
"""Bytes that are fields of headers at their limits, or marks of text files."""


def examples(count: int) -> settings:
    """Return hypothesis' settings for some examples, or for as many as the environment says."""
    return settings(
        max_examples=int(_NUM_EXAMPLES or count),
        derandomize=_NUM_EXAMPLES is None,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def limits() -> Iterator[None]:
    """Fail if a block takes too much time or, on Linux, too much memory."""
    before_mb = _peak_mb()
    began = time.process_time()  # which other work on the machine does not lengthen
    yield
    took_s, grew_mb = time.process_time() - began, _peak_mb(reset=False) - before_mb
    assert took_s < MAX_S
    assert grew_mb < MAX_MB


def _peak_mb(*, reset: bool = True) -> float:
    """Return the most memory that this process had since the last reset."""
    if not _MEMORY.exists():
        return 0.0
    if reset:
        _RESET_PEAK.write_text("5")
    (line,) = (line for line in _MEMORY.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1_000


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Flip, cut, insert, repeat or overwrite bytes, in one to four places."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(_position(len(content)))
        stop = start + draw(st.sampled_from([0, 1, 2, 4, 8, 50, 10_000]))
        before, cut, after = content[:start], content[start:stop], content[stop:]
        match draw(st.sampled_from(["flip", "cut", "end", "insert", "repeat", "overwrite"])):
            case "flip":
                mask = draw(st.integers(1, 255))
                content = before + bytes(byte ^ mask for byte in cut[:8]) + cut[8:] + after
            case "cut":
                content = before + after
            case "end":
                content = before
            case "insert":
                content = before + draw(_inserted()) + cut + after
            case "repeat":
                content = before + cut * draw(st.sampled_from([2, 3, 100])) + after
            case _:
                inserted = draw(_inserted())
                content = before + inserted + content[start + len(inserted) :]
    return content


def _position(size: int) -> st.SearchStrategy[int]:
    """Return positions in a file: as many in its head and its tail as in all the rest."""
    return st.one_of(
        st.integers(0, min(size, 64)),
        st.integers(0, size),
        st.integers(max(0, size - 200), size),
    )


def _inserted() -> st.SearchStrategy[bytes]:
    return st.sampled_from(_BYTES) | st.binary(max_size=8)


@st.composite
def damaged_json(draw: st.DrawFn, value: Any) -> bytes:
    """Replace, remove, rename or add one to three values of a JSON file."""
    root = [copy.deepcopy(value)]
    for _ in range(draw(st.integers(1, 3))):
        parent, key = draw(st.sampled_from(list(_places(root))))
        other = copy.deepcopy(draw(st.sampled_from(_VALUES)))
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "add"])):
            case "remove":
                del parent[key]
            case "rename" if isinstance(parent, dict):
                parent[draw(st.sampled_from(["", "x", "version", "\ud800"]))] = parent.pop(key)
            case "add" if isinstance(parent, list):
                parent.insert(key, other)
            case _:
                parent[key] = other
        if root == []:
            return b""
    return json.dumps(root[0]).encode().replace(json.dumps(_DEEP_MARK).encode(), DEEP)


def _places(parent: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each value's parent and its key there; of long lists, the first and the last."""
    keys = list(parent) if isinstance(parent, dict) else sorted({0, len(parent) - 1})[: len(parent)]
    for key in keys:
        yield parent, key
        if isinstance(parent[key], dict | list):
            yield from _places(parent[key])
