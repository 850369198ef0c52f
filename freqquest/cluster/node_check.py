"""A check of each node of the cluster: storage, package versions, free disk.

Light to import: Ray and file systems are loaded by the functions.
"""

import hashlib
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from freqquest.cluster.requirements import Requirements

if TYPE_CHECKING:
    from freqquest.storage import Location

_PACKAGES = (
    "ray",
    "numpy",
    "pandas",
    "pyarrow",
    "av",
    "soundfile",
    "soxr",
    "tensorflow",
    "keras",
    "torch",
    "torchaudio",
)
"""Packages that shape results, or what processes send each other."""

_TIMEOUT_S = 120.0
"""Time for a node's answer: it has to start a process, and perhaps to fetch the code."""

MISSING = "nothing"
"""Contents of a path to read that does not exist. The job itself reports that in more detail."""

NOT_SHARED = (
    "this node has another folder of that name, or none: give a path that all nodes share "
    "(NFS, EFS), or a URI (s3://)"
)


@dataclass(frozen=True, slots=True)
class JobPaths:
    """The job's files and folders, for every node to check. Keys are names of settings."""

    reads: dict[str, "Location"]
    """Files and folders to read."""

    writes: dict[str, "Location"]
    """Existing folders that the driver can write: for a new folder, the nearest above it."""

    probe: str
    """Name of the file that the driver has put into each folder to write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeReport:
    """Result of the check of one node."""

    node: str
    """Address of the node."""

    failure: str = ""
    """Reason why the check did not run; all other fields are then empty."""

    versions: dict[str, str] = field(default_factory=dict)
    """Versions of Python and of packages."""

    free_bytes: int = 0
    """Free disk in the folder for temporary files."""

    contents: dict[str, str] = field(default_factory=dict)
    """Description of the contents of each path to read: equal on nodes that see the same."""

    refusals: dict[str, str] = field(default_factory=dict)
    """Reason why a path cannot be used from this node, by the setting's name."""


@contextmanager
def probed_paths(requirements: Requirements) -> Iterator[tuple[JobPaths, dict[str, str]]]:
    """Put a file into each folder to write, until the block ends.

    Yields:
        The job's paths, and the reason for each folder that the driver cannot write.
    """
    from freqquest.storage import locate, reason

    reads = {name: locate(path) for name, path in requirements.reads.items() if path is not None}
    paths = JobPaths(reads=reads, writes={}, probe=f".freqquest-probe-{uuid.uuid4().hex}")
    refusals = {}
    try:
        for name, path in requirements.writes.items():
            folder = _nearest_existing(locate(path))
            try:
                (folder / paths.probe).write_bytes(b"")
                paths.writes[name] = folder
            except OSError as error:
                refusals[name] = reason(error)
        yield paths, refusals
    finally:
        for folder in paths.writes.values():
            with suppress(OSError):
                (folder / paths.probe).remove_file()


def _nearest_existing(folder: "Location") -> "Location":
    """Return the folder, or the nearest above it that exists; object stores have no folders."""
    while folder.is_local and not folder.is_dir():
        folder = folder.parent
    return folder


def check_nodes(paths: JobPaths) -> list[NodeReport]:
    """Return the driver's own report, then those of all other nodes."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    driver_node = ray.get_runtime_context().get_node_id()
    addresses = _node_addresses()
    task = ray.remote(num_cpus=0, max_retries=0)(check_node)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            paths, address
        ): node
        for node, address in addresses.items()
        if node != driver_node
    }
    reports = [check_node(paths, addresses[driver_node])]
    answered = ray.wait(list(asked), num_returns=len(asked), timeout=_TIMEOUT_S)[0] if asked else []
    for answer, node in asked.items():
        if answer not in answered:
            reports.append(NodeReport(node=addresses[node], failure="no answer"))
            continue
        try:
            reports.append(ray.get(answer))
        except ray.exceptions.RayError as error:
            if node in _node_addresses():  # otherwise it has left, as nodes of a cluster may
                last_line = str(error).strip().splitlines()[-1]
                reports.append(NodeReport(node=addresses[node], failure=last_line))
    return reports


def _node_addresses() -> dict[str, str]:
    """Return the addresses of the nodes that are alive, by identifier."""
    import ray

    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def check_node(paths: JobPaths, node: str) -> NodeReport:
    """Check the node on which this runs."""
    from freqquest.storage import reason

    contents, refusals = {}, {}
    for name, path in paths.reads.items():
        try:
            contents[name] = _describe_contents(path)
        except OSError as error:
            refusals[name] = reason(error)
    for name, folder in paths.writes.items():
        try:
            if not (folder / paths.probe).exists():
                refusals[name] = NOT_SHARED
                continue
            probe_of_node = folder / f"{paths.probe}-{uuid.uuid4().hex}"
            probe_of_node.write_bytes(b"")
            probe_of_node.remove_file()
        except OSError as error:
            refusals[name] = reason(error)
    return NodeReport(
        node=node,
        versions={"Python": platform.python_version()}
        | {name: installed_version(name) for name in _PACKAGES},
        free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        contents=contents,
        refusals=refusals,
    )


def _describe_contents(path: "Location") -> str:
    """Return a file's size or, for a folder that each node may have for itself, its names' hash."""
    if path.is_file():
        return f"{path.num_bytes()} bytes"
    if not path.is_dir():
        return MISSING
    entries = Path(path.path).iterdir() if path.is_local else ()
    names = (os.fsencode(entry.name) for entry in entries)
    # Hidden files come and go, as probes do.
    visible = sorted(name for name in names if not name.startswith(b"."))
    return f"a folder {hashlib.sha256(b'/'.join(visible)).hexdigest()}"


def installed_version(package: str) -> str:
    """Return the version of a package; "none" if it is not installed under this name."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
