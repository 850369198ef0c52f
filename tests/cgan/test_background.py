import threading

import pytest

from freqquest.cgan.background import Background

LIMIT_S = 10


def test_work_is_done_in_order_while_its_caller_goes_on():
    may_start, done = threading.Event(), []

    def first():
        assert may_start.wait(LIMIT_S)
        done.append(1)

    with Background() as background:
        background.submit(first, "slow")
        background.submit(lambda: done.append(2), "quick")
        assert background.has("slow")
        assert background.has("quick")
        assert done == []
        may_start.set()
        background.wait()
        assert done == [1, 2]
        assert not background.has("quick")


def test_a_wait_ends_when_only_some_work_of_its_kind_is_left():
    may_start = threading.Event()
    with Background() as background:
        background.submit(lambda: None, "a")
        background.submit(lambda: may_start.wait(LIMIT_S), "b")
        background.submit(lambda: None, "a")
        background.wait("a", at_most=1)
        assert background.has("b")
        may_start.set()
        background.wait("a")
        assert not background.has("b")


def test_work_can_tell_whether_more_waits():
    may_start, behind = threading.Event(), []
    with Background() as background:
        background.submit(lambda: may_start.wait(LIMIT_S), "")
        for _ in range(2):
            background.submit(lambda: behind.append(background.is_behind()), "")
        may_start.set()
    assert behind == [True, False]


def fail():
    raise ValueError("no such judge")


@pytest.mark.parametrize("meet", [lambda it: it.wait(), lambda it: it.wait("bad")])
def test_an_error_is_raised_in_the_caller_and_nothing_is_done_after_it(meet):
    done, background = [], Background()
    background.submit(fail, "bad")
    background.submit(lambda: done.append(1), "next")
    with pytest.raises(ValueError, match="no such judge"):
        meet(background)
    background.wait()
    assert done == []


def test_leaving_finishes_all_work_and_raises_its_error():
    background = Background()
    background.submit(fail, "bad")
    with pytest.raises(ValueError, match="no such judge"):
        background.__exit__(None, None, None)


def test_an_error_of_the_caller_finishes_all_work_too():
    done, background = [], Background()
    background.submit(lambda: done.append(1), "")
    background.__exit__(InterruptedError, InterruptedError(), None)
    assert done == [1]
