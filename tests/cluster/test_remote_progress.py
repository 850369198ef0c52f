import re
import threading

import pytest

from freqquest import progress
from freqquest.cluster.remote_progress import ProgressReporter, remote_progress


def test_the_last_message_of_a_worker_is_shown(local_ray, capsys):
    with remote_progress("generate", None, "clips") as queue:
        for done in range(41):
            queue.put((done, ""))
    assert capsys.readouterr().err.splitlines()[-1].startswith("generate: 40 clips")


def test_a_message_without_a_number_changes_only_the_note(local_ray, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LOG_INTERVAL_S", 0.0)
    with remote_progress("train", None, "clips") as queue:
        for message in [(None, "waiting"), (40, "going on"), (None, "a worker was lost"), (30, "")]:
            queue.put(message)
    lines = [re.sub(r" \[.*, ", ", ", line) for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == "train: 0 clips, waiting]"
    assert "train: 40 clips, a worker was lost]" in lines
    assert lines[-1] == "train: 30 clips, a worker was lost]"  # where the last checkpoint is


def test_an_error_in_the_driver_ends_the_thread_that_shows_messages(local_ray, capsys):
    def fail():
        with remote_progress("train", 9, "clips") as queue:
            queue.put((3, "going on"))
            raise ValueError("in the driver")

    with pytest.raises(ValueError, match="in the driver"):
        fail()
    assert not [thread for thread in threading.enumerate() if "_follow" in thread.name]
    lines = capsys.readouterr().err
    assert "3/9" in lines
    assert "9/9" not in lines


class RecordingQueue:
    """A queue that keeps what it is given."""

    def __init__(self):
        self.messages = []

    def put(self, message):
        self.messages.append(message)


def test_a_worker_reports_each_new_note_but_not_each_number():
    queue = RecordingQueue()
    report = ProgressReporter(queue)
    for done in range(5):
        report(done, "epoch 1")
    report(5, "epoch 2")
    assert queue.messages == [(0, "epoch 1"), (5, "epoch 2")]
    ProgressReporter(None)(1)  # a worker without a queue reports nothing
