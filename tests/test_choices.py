import json
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

import pytest

from freqquest.choices import check_types


class Point(NamedTuple):
    x: float


class Header(TypedDict):
    version: int


@dataclass
class Shard:
    rows: int


@dataclass
class Record:
    shards: list[Shard]
    seconds: dict[str, float]
    points: list[Point]
    header: Header
    kind: Literal["a", "b"] = "a"
    pair: tuple[int, int] = (0, 0)
    label: str | None = None
    scores: dict[str, object] | None = None


def record(**changes):
    fields = {"shards": [Shard(1)], "seconds": {"a": 1.5}, "points": [Point(1)]}
    return Record(**fields | {"header": {"version": 1}} | changes)


def test_records_with_values_of_their_types_pass():
    check_types(record(), Record)
    check_types(record(seconds={"a": 2}, label="x", scores={"a": [None]}), Record)
    check_types(record(shards=[Shard(2.0)]), Record)
    check_types({"version": 1}, Header)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shards", [Shard("1")]),
        ("shards", [Shard(True)]),
        ("shards", [Shard(1.5)]),
        ("shards", [Shard(float("inf"))]),
        ("shards", [Shard(float("nan"))]),
        ("shards", (Shard(1),)),
        ("seconds", {"a": None}),
        ("seconds", {1: 1.5}),
        ("points", [Point("1")]),
        ("header", {"version": "1"}),
        ("header", json.loads("[]")),
        ("kind", "c"),
        ("pair", (1,)),
        ("label", 5),
        ("scores", []),
    ],
)
def test_values_of_other_types_are_refused_by_name(name, value):
    with pytest.raises(TypeError, match=f"{name}=.* is not of the type"):
        check_types(record(**{name: value}), Record)


def test_a_record_without_a_field_is_refused():
    with pytest.raises(KeyError, match="version"):
        check_types({}, Header)
