import pytest
import torch

from freqquest.benchmark.roofline import Peak, StepWork, Work, count_work

KIB = 1024


def test_a_products_operations_and_bytes_are_counted():
    left, right = torch.ones(16, 32), torch.ones(32, 8)
    work = count_work(lambda: left @ right).by_operation["mm"]
    assert work == Work(calls=1, flops=2 * 16 * 32 * 8, bytes=4 * (16 * 32 + 32 * 8 + 16 * 8))


def test_backward_passes_are_counted_too():
    weight = torch.ones(8, 8, requires_grad=True)
    inputs = torch.ones(4, 8)
    work = count_work(lambda: (inputs @ weight).sum().backward())
    assert work.flops == 2 * (2 * 4 * 8 * 8)


def test_views_cost_nothing_and_changes_in_place_read_and_write():
    values = torch.ones(256)
    assert count_work(lambda: values.view(16, 16).T[2:]).by_operation == {}
    assert count_work(lambda: values.add_(1)).by_operation["add_"].bytes == 2 * KIB
    assert count_work(lambda: torch._foreach_add_([values], 1)).by_operation[
        "_foreach_add_"
    ].bytes == pytest.approx(2 * KIB)


def test_the_slowest_limit_bounds_each_operation():
    peak = Peak(flops_per_s=1e3, bytes_per_s=1e2, seconds_per_call=1.0)
    assert Work(calls=1, flops=5e3, bytes=1e2).seconds(peak) == 5
    assert Work(calls=1, flops=5e3, bytes=1e3).seconds(peak) == 10
    assert Work(calls=20, flops=5e3, bytes=1e3).seconds(peak) == 20
    step = StepWork(by_operation={"mm": Work(flops=5e3), "add": Work(bytes=1e2)})
    assert step.seconds(peak, fused=False) == 6
    assert step.seconds(peak, fused=True) == 5


def test_steps_of_two_kinds_are_mixed_by_their_shares():
    rare = StepWork(by_operation={"mm": Work(calls=8, flops=80), "add": Work(calls=8, bytes=16)})
    often = StepWork(by_operation={"mm": Work(calls=0, flops=8)})
    assert often.mixed(rare, 1 / 8).by_operation == {
        "mm": Work(calls=1, flops=17),
        "add": Work(calls=1, bytes=2),
    }
