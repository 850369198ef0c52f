import pytest

from freqquest.runs.checkpoints import Checkpoints
from freqquest.storage import locate


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(folder=locate(tmp_path / "checkpoints"))


def names(checkpoints):
    files = checkpoints.folder.list_dir()
    return [file.name.split("_")[1] for file in files if file.name.endswith(".pt")]


def test_an_empty_folder_has_no_checkpoint(checkpoints):
    assert checkpoints.last() is None
    assert checkpoints.best() is None


def test_the_last_two_and_the_best_are_kept(checkpoints):
    scores = {1: 0.1, 2: 0.7, 3: None, 4: 0.3, 5: 0.7}
    for epoch, score in scores.items():
        checkpoints.save(epoch, f"state {epoch}".encode(), score)
    assert names(checkpoints) == ["000002", "000004", "000005"]
    assert checkpoints.last() == b"state 5"
    assert checkpoints.best() == b"state 2"  # the first of equals
    assert Checkpoints(folder=checkpoints.folder).best() == b"state 2"


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: b"?" + content[1:], lambda _: b""]
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_taken(checkpoints, capsys, damage):
    for epoch in (1, 2):
        checkpoints.save(epoch, f"state {epoch}".encode())
    newest = checkpoints.folder.list_dir()[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    assert checkpoints.last() == b"state 1"
    assert f"{newest} is corrupt and is ignored" in capsys.readouterr().err


def test_if_the_best_is_damaged_the_next_best_is_taken(checkpoints, capsys):
    for epoch, score in {1: 0.9, 2: 0.5, 3: 0.8}.items():
        checkpoints.save(epoch, f"state {epoch}".encode(), score)
    corrupt = checkpoints.folder.list_dir()[0]
    corrupt.write_bytes(b"?")
    assert checkpoints.best() == b"state 3"
    assert f"{corrupt} is corrupt" in capsys.readouterr().err


@pytest.mark.parametrize("attempt", range(8))
def test_an_epoch_trained_again_replaces_the_first(checkpoints, attempt):
    checkpoints.save(1, b"first attempt", 0.5)
    checkpoints.folder.list_dir()[0].write_bytes(b"corrupt")
    again = f"attempt {attempt}".encode()  # its hash comes before or after the first one's
    checkpoints.save(1, again, 0.5)
    assert names(checkpoints) == ["000001"]
    assert checkpoints.last() == checkpoints.best() == again
