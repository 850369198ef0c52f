from freqquest.cnn import save_timer
from freqquest.cnn.save_timer import SaveTimer


def test_a_training_is_saved_when_the_interval_has_passed(monkeypatch):
    now = 100.0
    monkeypatch.setattr(save_timer.time, "monotonic", lambda: now)
    timer, due = SaveTimer(30), []
    for now in (110.0, 129.0, 130.0, 131.0, 159.0, 161.0):  # noqa: B007
        due.append(timer.is_due())
    assert due == [False, False, True, False, False, True]


def test_without_an_interval_every_epoch_is_saved():
    timer = SaveTimer(0)
    assert timer.is_due()
    assert timer.is_due()
