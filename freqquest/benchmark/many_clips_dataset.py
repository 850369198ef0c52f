"""A large dataset made of a small one, whose rows are repeated with other names."""

from dataclasses import replace
from itertools import cycle
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freqquest.dataset.manifest import Shard, load_manifest, sha256
from freqquest.storage import Location


def repeat_rows(small: Location, num_rows: int, large: Location) -> None:
    """Write a dataset with a number of rows.

    Each shard has a file, clips and recordings of its own. The manifest keeps the small dataset's
    statistics.
    """
    manifest = load_manifest(small)
    labeled = [shard for shard in manifest.shards if shard.split != "test"]
    tables = {shard.path: _read(small / shard.path) for shard in labeled}
    shards: list[Shard] = []
    counts: list[pd.DataFrame] = []
    num_left = num_rows
    for number, shard in enumerate(cycle(labeled)):
        if not num_left:
            break
        table = _renamed(tables[shard.path], f"{number // len(labeled)}_")[:num_left]
        num_left -= len(table)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="none", use_dictionary=False)
        content = memoryview(sink.getvalue())
        name = f"part-{number:05d}.parquet"
        (large / shard.split / name).write_bytes(content)
        hashed = sha256(content)
        shards.append(
            replace(shard, name=name, num_rows=len(table), num_bytes=len(content), sha256=hashed)
        )
        counts.append(table.select(["split", "label", "recording"]).to_pandas())
    rows = pd.concat(counts)
    by_class = rows.groupby(["split", "label"])
    order = list(manifest.num_rows)
    replace(
        manifest,
        shards=sorted(shards, key=lambda shard: (order.index(shard.split), shard.name)),
        num_rows={split: int((rows["split"] == split).sum()) for split in order},
        num_clips=_nested(by_class.size()),
        num_recordings=_nested(by_class["recording"].nunique()),
    ).save(large)


def _read(shard: Location) -> pa.Table:
    return pq.read_table(pa.BufferReader(shard.read_bytes()))


def _renamed(table: pa.Table, prefix: str) -> pa.Table:
    """Return a table whose clips and recordings have other names; their files stay."""
    for name in ("clip_id", "recording"):
        names = pc.binary_join_element_wise(prefix, table[name].cast(pa.string()), "")
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(name), names.cast(table[name].type))
    return table


def _nested(counts: pd.Series) -> dict[str, dict[str, int]]:
    """Return counts by split and class."""
    found: dict[str, dict[str, int]] = {}
    for place, count in counts.items():
        split, label = cast(tuple[str, str], place)
        found.setdefault(split, {})[label] = int(count)
    return found
