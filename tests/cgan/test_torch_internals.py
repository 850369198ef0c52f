"""The private names of torch that we use still do what we expect; check a new torch here."""

import pytest
import torch

from freqquest.cgan import torch_internals

EPS = 1e-5


def test_the_version_is_the_one_that_was_checked():
    assert torch.__version__.split("+")[0] == torch_internals.CHECKED_VERSION


def test_the_cpus_instructions_are_known():
    assert isinstance(torch_internals.cpu_computes_bfloat16(), bool)
    assert not torch.cpu._is_amx_tile_supported() or torch_internals.cpu_computes_bfloat16()


def test_a_cpu_without_bfloat16_instructions_is_recognized(monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", dict)
    assert not torch_internals.cpu_computes_bfloat16()


@pytest.mark.parametrize("skipped", [True, False])
def test_a_fused_optimizer_skips_a_step_only_if_told_to(skipped):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], fused=True)
    weight.sum().backward()
    torch_internals.skip_next_step(optimizer, torch.tensor(skipped))
    optimizer.step()
    assert bool((weight == 1).all()) == skipped


def test_each_tensor_is_copied_in_place():
    targets, sources = [torch.zeros(2), torch.zeros(3, 1)], [torch.ones(2), torch.full((3, 1), 7.0)]
    torch_internals.copy_each(targets, sources)
    for target, source in zip(targets, sources, strict=True):
        assert torch.equal(target, source)


def activations():
    torch.manual_seed(0)
    inputs = torch.randn(4, 3, 5, 6).contiguous(memory_format=torch.channels_last)
    return inputs, torch.rand(3) + 0.5, torch.randn(3)


def test_statistics_are_those_of_each_channel():
    inputs, _, _ = activations()
    mean, variance = torch_internals.batch_statistics(inputs, EPS)
    torch.testing.assert_close(mean, inputs.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(variance, inputs.var(dim=(0, 2, 3)))


def test_normalization_and_its_gradients_equal_those_of_torchs_evaluation_mode():
    inputs, weight, bias = activations()
    mean, variance = torch.randn(3), torch.rand(3) + 0.5
    leaves = [value.clone().requires_grad_() for value in (inputs, weight, bias)]
    expected = torch.nn.functional.batch_norm(
        leaves[0], mean, variance, leaves[1], leaves[2], training=False, eps=EPS
    )
    outputs = torch_internals.normalize(inputs, weight, bias, mean, variance, EPS)
    torch.testing.assert_close(outputs, expected)
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    gradients = torch_internals.normalize_backward(gradient, inputs, weight, mean, variance, EPS)
    for found, leaf in zip(gradients, leaves, strict=True):
        torch.testing.assert_close(found, leaf.grad)


def test_a_gpu_gets_the_mean_and_scale_that_it_reads(monkeypatch):
    inputs, weight, _ = activations()
    mean, variance = torch.randn(3), torch.rand(3) + 0.5
    passed = []
    monkeypatch.setattr(
        torch.ops.aten, "native_batch_norm_backward", lambda *arguments: passed.extend(arguments)
    )
    torch_internals.normalize_backward(inputs, inputs, weight, mean, variance, EPS)
    torch.testing.assert_close(passed[5], mean)
    torch.testing.assert_close(passed[6], 1 / (variance + EPS).sqrt())
