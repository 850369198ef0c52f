"""What each node of the cluster sees: storage, versions, free disk.

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
    "soundfile",
    "soxr",
    "tensorflow",
    "keras",
    "torch",
    "torchaudio",
)
"""Those that shape results, or what processes send each other."""

_TIMEOUT_S = 120.0
"""For a node to answer: it has to start a process, and perhaps to fetch the code."""

MISSING = "nothing"
"""In the place of what is to be read, of which the job itself says more."""

NOT_SHARED = "this node has another folder of that name, or none: give a path that all nodes share (NFS, EFS), or a URI (s3://)"


@dataclass(frozen=True, slots=True)
class Places:
    """The job's files and folders, for every node to look at."""

    reads: dict[str, "Location"]
    writes: dict[str, "Location"]
    """Folders that exist (of one yet to be made, the nearest above it), and that the driver can write."""
    probe: str
    """Name of the file that the driver has put into each of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a node found."""

    node: str
    lost: str = ""
    """Why it could not look; all else is empty then."""
    versions: dict[str, str] = field(default_factory=dict)
    free_bytes: int = 0
    contents: dict[str, str] = field(default_factory=dict)
    """What lies at each place that is read: equal on two nodes that see the same."""
    refusals: dict[str, str] = field(default_factory=dict)
    """By option: why a place cannot be used from there."""


@contextmanager
def probed(requirements: Requirements) -> Iterator[tuple[Places, dict[str, str]]]:
    """The job's places, for as long as a file of the driver lies in each folder to be written; and, by option, why
    there is none.
    """
    from freqquest.storage import locate, reason

    reads = {
        option: locate(path) for option, path in requirements.reads.items() if path is not None
    }
    places = Places(reads=reads, writes={}, probe=f".freqquest-probe-{uuid.uuid4().hex}")
    refusals = {}
    try:
        for option, path in requirements.writes.items():
            folder = _existing(locate(path))
            try:
                (folder / places.probe).write_bytes(b"")
                places.writes[option] = folder
            except OSError as error:
                refusals[option] = reason(error)
        yield places, refusals
    finally:
        for folder in places.writes.values():
            with suppress(OSError):
                (folder / places.probe).remove_file()


def _existing(folder: "Location") -> "Location":
    """The folder, or the nearest above it that exists; an object store has no folders to make."""
    while folder.is_local and not folder.is_dir():
        folder = folder.parent
    return folder


def ask_nodes(places: Places) -> list[Report]:
    """The driver's own report, then those of all other nodes."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    names = _addresses()
    look = ray.remote(num_cpus=0, max_retries=0)(look_from)
    asked = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            places, name
        ): node
        for node, name in names.items()
        if node != here
    }
    reports = [look_from(places, names[here])]
    answered = ray.wait(list(asked), num_returns=len(asked), timeout=_TIMEOUT_S)[0] if asked else []
    for answer, node in asked.items():
        try:
            reports.append(
                ray.get(answer)
                if answer in answered
                else Report(node=names[node], lost="no answer")
            )
        except ray.exceptions.RayError as error:
            if node in _addresses():  # else it has gone meanwhile, as nodes of a cluster may
                reports.append(Report(node=names[node], lost=str(error).strip().splitlines()[-1]))
    return reports


def _addresses() -> dict[str, str]:
    """Of the nodes that are there, by identifier."""
    import ray

    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def look_from(places: Places, node: str) -> Report:
    """What can be seen and done on the node where this runs."""
    from freqquest.storage import reason

    contents, refusals = {}, {}
    for option, place in places.reads.items():
        try:
            contents[option] = _contents(place)
        except OSError as error:
            refusals[option] = reason(error)
    for option, folder in places.writes.items():
        try:
            if not (folder / places.probe).exists():
                refusals[option] = NOT_SHARED
                continue
            own = folder / f"{places.probe}-{uuid.uuid4().hex}"
            own.write_bytes(b"")
            own.remove_file()
        except OSError as error:
            refusals[option] = reason(error)
    return Report(
        node=node,
        versions={"Python": platform.python_version()}
        | {name: _version(name) for name in _PACKAGES},
        free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        contents=contents,
        refusals=refusals,
    )


def _contents(place: "Location") -> str:
    """What lies there; of a folder that each node may have for itself, also which names."""
    if place.is_file():
        return f"{place.num_bytes()} bytes"
    if not place.is_dir():
        return MISSING
    names = (
        [os.fsencode(found.name) for found in Path(place.path).iterdir()] if place.is_local else []
    )
    shown = sorted(
        name for name in names if not name.startswith(b".")
    )  # hidden ones come and go, as probes do
    return f"a folder {hashlib.sha256(b'/'.join(shown)).hexdigest()}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
