import dataclasses

import numpy as np
import pytest

from freqquest.detection.listen import Heard
from freqquest.detection.parts import (
    join,
    list_parts,
    missing_units,
    open_parts,
    read_part,
    recording_key,
    write_part,
)
from freqquest.errors import UserError
from freqquest.storage import locate


def make_heard(first_column, num_columns, value):
    return Heard(
        probabilities=np.full((3, 2), value, np.float32),
        levels=np.full(30, value, np.float16),
        changes=np.full(30, value, np.float16),
        first_column=first_column,
        columns=np.full((4, num_columns), value, np.float16),
    )


def test_a_part_is_read_as_it_was_written(tmp_path):
    folder = open_parts(locate(tmp_path / "events.csv"), {"hop_s": 1.0})
    write_part(folder, "abc", range(2, 4), [make_heard(5, 3, 1.0), make_heard(7, 2, 2.0)])
    ((units, file),) = list_parts(folder)["abc"]
    assert units == range(2, 4)
    heard = read_part(file)
    assert heard.probabilities[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert heard.first_column == 5
    assert heard.columns[0].tolist() == [1, 1, 2, 2]  # a shared column has the louder half


def test_parts_are_kept_for_the_same_settings_only(tmp_path):
    output = locate(tmp_path / "events.csv")
    folder = open_parts(output, {"hop_s": 1.0})
    write_part(folder, "abc", range(1), [make_heard(0, 1, 1.0)])
    assert "abc" in list_parts(open_parts(output, {"hop_s": 1.0}))
    assert not list_parts(open_parts(output, {"hop_s": 0.5}))


def test_a_recording_that_changed_has_another_key():
    keys = {recording_key("a.wav", 10, 1), recording_key("a.wav", 10, 2), recording_key("b", 10, 1)}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ([], [range(5)]),
        ([range(5)], []),
        ([range(1, 2), range(3, 4)], [range(1), range(2, 3), range(4, 5)]),
        ([range(3), range(1, 4)], [range(4, 5)]),
    ],
)
def test_missing_units_are_those_in_no_part(present, missing):
    assert list(missing_units(present, 5)) == missing


def test_parts_are_joined_in_order_and_overlaps_counted_once(tmp_path):
    folder = open_parts(locate(tmp_path / "events.csv"), {})
    for first in (10, 2, 0):
        write_part(folder, "abc", range(first, first + 2), [make_heard(first, 2, first)])
    assert [units.start for units, _ in list_parts(folder)["abc"]] == [0, 2, 10]


def test_a_corrupt_part_is_named(tmp_path):
    file = locate(tmp_path / "abc-0-1.npz")
    file.write_bytes(b"no archive")
    with pytest.raises(
        UserError, match=r"abc-0-1\.npz is not a readable part .* remove it, and run"
    ):
        read_part(file)


def test_joining_one_unit_changes_nothing():
    heard = make_heard(3, 2, 1.5)
    for field in dataclasses.fields(Heard):
        np.testing.assert_array_equal(
            getattr(join([heard]), field.name), getattr(heard, field.name)
        )
