import pytest

from freqquest.runs.checkpoints import Checkpoints
from freqquest.runs.storage import locate


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(folder=locate(tmp_path / "checkpoints"))


def names(checkpoints):
    return [place.name.split("_")[1] for place in checkpoints.folder.list_dir() if place.name.endswith(".pt")]


def test_an_empty_folder_has_none(checkpoints):
    assert checkpoints.last() is None
    assert checkpoints.best() is None


def test_the_last_two_and_the_best_stay(checkpoints):
    scores = {1: 0.1, 2: 0.7, 3: None, 4: 0.3, 5: 0.7}
    for epoch, score in scores.items():
        checkpoints.save(epoch, f"state {epoch}".encode(), score)
    assert names(checkpoints) == ["000002", "000004", "000005"]
    assert checkpoints.last() == b"state 5"
    assert checkpoints.best() == b"state 2"  # the first of equals
    assert Checkpoints(folder=checkpoints.folder).best() == b"state 2"


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"?" + content[1:], lambda _: b""])
def test_a_damaged_one_is_named_and_the_one_before_it_is_taken(checkpoints, capsys, damage):
    for epoch in (1, 2):
        checkpoints.save(epoch, f"state {epoch}".encode())
    newest = checkpoints.folder.list_dir()[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    assert checkpoints.last() == b"state 1"
    assert f"{newest} is damaged and is left out" in capsys.readouterr().err


def test_a_damaged_note_of_the_best_one_loses_nothing_else(checkpoints):
    checkpoints.save(1, b"state 1", 0.5)
    (checkpoints.folder / "best.json").write_text('{"epo')
    assert checkpoints.best() is None
    checkpoints.save(2, b"state 2", 0.1)
    assert checkpoints.best() == b"state 2"
    assert checkpoints.last() == b"state 2"


def test_an_epoch_trained_again_takes_the_place_of_the_first(checkpoints):
    checkpoints.save(1, b"state", 0.5)
    checkpoints.save(1, b"state", 0.5)
    assert len(names(checkpoints)) == 1
