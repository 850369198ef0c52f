"""Verification of a dataset: the hash of every shard is computed again."""

from concurrent.futures import ThreadPoolExecutor

from freqquest.dataset.manifest import Shard, load_manifest
from freqquest.dataset.read import read_verified
from freqquest.errors import UserError
from freqquest.storage import locate


def verify_dataset(dataset_dir: str) -> str:
    """Verify every shard, and return a line for users.

    Raises:
        UserError: Shards are missing or corrupt; the text names all of them.
    """
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)

    def problem_of(shard: Shard) -> str | None:
        try:
            read_verified(dataset, shard)
        except (UserError, OSError) as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as threads:  # reading and hashing release Python's lock
        problems = [problem for problem in threads.map(problem_of, manifest.shards) if problem]
    num_shards = len(manifest.shards)
    if problems:
        summary = f"{len(problems)} of {num_shards} shards are missing or corrupt:"
        raise UserError("\n".join([summary, *problems]))
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    return f"{dataset}: all {num_shards} shards match their SHA-256 ({num_bytes / 1e6:.0f} MB)"
