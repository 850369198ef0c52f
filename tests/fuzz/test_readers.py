"""Readers return, or refuse a damaged file in our own words, in bounded time and memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.damage import damaged_bytes, damaged_json, examples, limits
from tests.fuzz.found import FOUND
from tests.fuzz.own_files import OWN_FILES
from tests.fuzz.targets import Target
from tests.fuzz.user_files import USER_FILES

TARGETS = OWN_FILES | USER_FILES

# An error in a function that C calls is printed and lost.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module", params=TARGETS)
def target(request, tmp_path_factory) -> Target:
    return TARGETS[request.param](tmp_path_factory.mktemp("fuzz"))


def test_an_intact_file_is_read(target):
    assert not target.is_refused(target.content)


@given(data=st.data())
@examples(30)
def test_a_damaged_file_is_read_or_refused(target, data):
    damaged = damaged_bytes(target.content)
    if target.json is not None:
        damaged |= damaged_json(target.json).map(target.wrap)
    content = data.draw(damaged)
    with limits():
        target.is_refused(content)


@pytest.mark.parametrize(("target", "damage"), FOUND, indirect=["target"])
def test_known_damage_is_refused(target, damage):
    content = damage(target)
    assert content != target.content
    with limits():
        assert target.is_refused(content)
