"""Verification of a dataset: the hash of every file is computed again."""

from concurrent.futures import ThreadPoolExecutor

from freqquest.dataset.manifest import Manifest, Shard, load_manifest, sha256
from freqquest.embedding.network import read_again
from freqquest.errors import UserError
from freqquest.storage import Location, locate


def verify_dataset(dataset_dir: str) -> str:
    """Verify every file, and return a line for users.

    Raises:
        UserError: Files are missing or corrupt; the text names all of them.
    """
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    verify_shards(dataset, manifest)
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    num_shards, network = len(manifest.shards), " and the network" if manifest.embedding else ""
    return (
        f"{dataset}: all {num_shards} shards{network} match their SHA-256 "
        f"({num_bytes / 1e6:.0f} MB)"
    )


def verify_shards(dataset: Location, manifest: Manifest) -> None:
    """Verify every shard of a dataset, and its pretrained network.

    Raises:
        UserError: Files are missing or corrupt; the text names all of them.
    """

    def problem_of(shard: Shard) -> str | None:
        try:
            read_verified(dataset, shard)
        except (UserError, OSError) as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as threads:  # reading and hashing release Python's lock
        problems = [problem for problem in threads.map(problem_of, manifest.shards) if problem]
    num_files, kind = len(manifest.shards), "shards"
    if manifest.embedding is not None:
        num_files, kind = num_files + 1, "files"
        try:
            read_again(manifest.embedding, dataset / manifest.embedding.file_name)
        except (UserError, OSError) as error:
            problems.append(str(error))
    if problems:
        summary = f"{len(problems)} of {num_files} {kind} are missing or corrupt:"
        raise UserError("\n".join([summary, *problems]))


def read_verified(dataset: Location, shard: Shard) -> bytes:
    """Return a shard's bytes after comparing their hash with the manifest's.

    Raises:
        UserError: The shard is missing or corrupt.
    """
    path = dataset / shard.path
    repair = "run the preprocess job with the same settings again to make it"
    if not path.is_file():
        raise UserError(f"{path} is missing: {repair}")
    content = path.read_bytes()
    if sha256(content) != shard.sha256:
        raise UserError(f"{path} is corrupt (its SHA-256 differs): remove it and {repair}")
    return content
