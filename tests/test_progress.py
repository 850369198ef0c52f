import os
import pty
import re
import select
import termios
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from freqquest import progress


def test_a_log_gets_plain_lines_with_counts_and_notes(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LOG_INTERVAL_S", 0.0)
    with progress.Progress("preprocess", 4, "clips") as shown:
        shown.update(1)
        shown.update_to(4, "all of them")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(
        "preprocess:   0% 0/4"
    )  # so that a long first wait does not look like a crash
    assert lines[1].startswith("preprocess:  25% 1/4")
    assert lines[-1].startswith("preprocess: 100% 4/4")
    assert "all of them" in lines[-1]
    assert "\r" not in "".join(lines)


def test_units_stand_apart_from_numbers_but_not_from_seconds(capsys):
    with progress.Progress("tune", 4, "epochs") as shown:
        shown._started -= 10
        shown.update(1)
    assert "s/epochs" in capsys.readouterr().err.splitlines()[-1]
    with progress.Progress("tune", 400, "epochs") as shown:
        shown._started -= 10
        shown.update(300)
    assert " epochs/s" in capsys.readouterr().err.splitlines()[-1]


def test_neither_the_start_nor_an_earlier_run_counts_for_the_speed(capsys, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with progress.Progress("train", 100, "clips") as shown:
        clock.now = 300.0
        shown.begin_at(40)
        clock.now = 320.0
        shown.update_to(60)
    assert "60/100 [00:20<00:40,  1.00 clips/s]" in capsys.readouterr().err


@pytest.fixture
def make_terminal(monkeypatch):
    """Return a function that makes standard error a terminal, and returns its reader."""
    with ExitStack() as opened:

        def make(num_columns):
            screen, terminal = pty.openpty()
            opened.callback(os.close, screen)
            termios.tcsetwinsize(terminal, (24, num_columns))
            monkeypatch.setattr("sys.stderr", opened.enter_context(os.fdopen(terminal, "w")))

            def read() -> str:
                content = b""
                while select.select([screen], [], [], 0)[0]:
                    content += os.read(screen, 2**16)
                return content.decode()

            return read

        yield make


def test_a_terminal_gets_the_speed_of_this_run_and_every_note(make_terminal):
    read = make_terminal(120)
    with progress.Progress("train", 200_000, "clips") as bar:
        bar.begin_at(100_000)
        time.sleep(0.2)  # longer than tqdm's refresh interval
        bar.update(16)
        speed = float(re.findall(r"([\d.]+) clips/s", read())[-1])
        assert speed < 16 / 0.2 + 1
        bar.update(0, "judging")
        assert "judging" in read()


def test_a_terminal_without_width_gets_plain_lines(make_terminal):
    read = make_terminal(0)
    with progress.Progress("train", 4, "clips"):
        pass
    assert read() == "train:   0% 0/4 [00:00<?, ? clips/s]\r\n"
