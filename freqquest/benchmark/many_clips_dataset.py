"""A large dataset made of a small one, whose rows are repeated with other names."""

from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest.dataset.manifest import Shard, load_manifest, sha256
from freqquest.storage import Location


def repeat_rows(small: Location, num_rows: int, large: Location) -> None:
    """Write a dataset with as many rows as asked, or a few more.

    Each shard has a file, clips and recordings of its own; the manifest's counts of clips are those
    of the small dataset, multiplied.
    """
    manifest = load_manifest(small)
    labeled = [shard for shard in manifest.shards if shard.split != "test"]
    num_small = sum(shard.num_rows for shard in labeled)
    tables = {shard.path: _read(small / shard.path) for shard in labeled}
    shards: list[Shard] = []
    times = -(-num_rows // num_small)
    for number, shard in enumerate(islice(cycle(labeled), times * len(labeled))):
        table = _renamed(tables[shard.path], f"{number // len(labeled)}_")
        name = f"part-{number:05d}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="none", use_dictionary=False)
        content = sink.getvalue()
        (large / shard.split / name).write_bytes(content)
        shards.append(
            replace(shard, name=name, num_bytes=content.size, sha256=sha256(memoryview(content)))
        )
    order = {split: number for number, split in enumerate(manifest.num_rows)}
    replace(
        manifest,
        shards=sorted(shards, key=lambda shard: (order[shard.split], shard.name)),
        num_rows={split: times * count for split, count in manifest.num_rows.items()},
        num_clips=_multiplied(manifest.num_clips, times),
        num_recordings=_multiplied(manifest.num_recordings, times),
    ).save(large)


def _read(shard: Location) -> pa.Table:
    return pq.read_table(pa.BufferReader(shard.read_bytes()))


def _renamed(table: pa.Table, prefix: str) -> pa.Table:
    """Return a table whose clips and recordings have other names; their files stay."""
    for name in ("clip_id", "recording"):
        names = np.char.add(prefix, table[name].to_numpy(zero_copy_only=False).astype(str))
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(name), pa.array(names, table[name].type))
    return table


def _multiplied(counts: dict[str, dict[str, int]], times: int) -> dict[str, dict[str, int]]:
    return {
        split: {label: times * count for label, count in by_class.items()}
        for split, by_class in counts.items()
    }
