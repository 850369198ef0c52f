import numpy as np

from freqquest.cgan import epoch
from freqquest.cgan.distributed import Worker
from tests.cgan.conftest import small, trainer


def draws(model, num_steps):
    return list(epoch._draw_chunks(model, num_steps, epoch=3, seed=0, worker=Worker()))


def test_the_first_step_waits_for_its_own_noise_only():
    chunks = draws(trainer(small("default")), num_steps=40)
    assert [len(noise) for noise, _, _ in chunks] == [1, 2, 4, 8, 16, 9]


def test_noise_and_augmentation_do_not_depend_on_how_many_are_drawn_together(monkeypatch):
    model = trainer(small("default"))
    together = [np.concatenate(values) for values in zip(*draws(model, 40), strict=True)]
    monkeypatch.setattr(epoch, "_MAX_DRAWN_AT_ONCE", 1)
    chunks = draws(model, 40)
    assert len(chunks) == 40
    for values, others in zip(together, zip(*chunks, strict=True), strict=True):
        assert np.array_equal(values, np.concatenate(others))
