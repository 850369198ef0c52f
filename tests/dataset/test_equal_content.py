"""Files of equal content, of any size, with as little reading as possible."""

import os
import threading
import time

import pandas as pd
import pytest

from freqquest.dataset import equal_content
from freqquest.dataset.equal_content import first_equal_files


def first_of(folder, **contents):
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return firsts(folder)


def firsts(folder):
    files = sorted(folder.iterdir())
    paths = pd.Series([str(file) for file in files], dtype=str)
    sizes = pd.Series([file.stat().st_size for file in files])
    first = first_equal_files(paths, sizes)
    return {file.name: name.rsplit("/", 1)[-1] for file, name in zip(files, first, strict=True)}


@pytest.mark.parametrize("size", [1, 4096, 4097, 3_000_000])
def test_only_equal_files_are_equal(tmp_path, size):
    content = bytes(size)
    late = content[:-1] + b"x"  # the middle is the same
    assert first_of(tmp_path, a=content, b=content, c=late, d=late, e=b"y" * size, f=b"") == {
        "a": "a", "b": "a", "c": "c", "d": "c", "e": "e", "f": "f",
    }  # fmt: skip


def test_empty_and_unreadable_files_equal_none(tmp_path, monkeypatch):
    read = os.open
    monkeypatch.setattr(
        os, "open", lambda path, flags: read(f"{path}/gone" if "bad" in path else path, flags)
    )
    assert first_of(tmp_path, a=b"", b=b"", bad1=b"z", bad2=b"z") == {
        "a": "a", "b": "b", "bad1": "bad1", "bad2": "bad2",
    }  # fmt: skip


def test_hard_links_are_read_once(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(10_000))
    for number in range(5):
        os.link(tmp_path / "a", tmp_path / f"link{number}")
    read = []
    whole = equal_content._digest_whole
    monkeypatch.setattr(
        equal_content, "_digest_whole", lambda path: read.append(path) or whole(path)
    )
    assert set(firsts(tmp_path).values()) == {"a"}
    assert len(read) == 1


def test_of_files_that_differ_in_their_middle_no_more_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(equal_content, "_digest_whole", None)
    contents = {str(number): bytes(5000) + bytes([number]) + bytes(5000) for number in range(5)}
    assert set(first_of(tmp_path, **contents).values()) == set(contents)


@pytest.mark.parametrize("is_slow", [False, True])
def test_only_slow_storage_is_read_by_several_threads(tmp_path, monkeypatch, is_slow):
    readers = set()
    middle = equal_content._digest_middle

    def read(path):
        readers.add(threading.get_ident())
        time.sleep(0.02)
        return middle(path)

    processor_time = (lambda: 0.0) if is_slow else time.perf_counter
    monkeypatch.setattr(time, "thread_time", processor_time)
    monkeypatch.setattr(equal_content, "_BATCH_FILES", 3)
    monkeypatch.setattr(equal_content, "_BATCHES_AT_ONCE", 4)
    monkeypatch.setattr(equal_content, "_digest_middle", read)
    contents = {f"{number:02d}": bytes(9) + bytes([number // 2]) for number in range(60)}
    assert first_of(tmp_path, **contents) == {
        name: f"{int(name) // 2 * 2:02d}" for name in contents
    }
    assert (len(readers) > 2) == is_slow
