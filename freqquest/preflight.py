"""Before any work: can this cluster do what a job asks for? Resources, storage, versions and free disk, in one table.

Light to import: Ray and file systems are loaded by the functions.
"""

import hashlib
import os
import platform
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from freqquest import capacity, cluster
from freqquest.errors import UserError
from freqquest.needs import Needs

if TYPE_CHECKING:
    from freqquest.runs.storage import Location

_PACKAGES = ("ray", "numpy", "pandas", "pyarrow", "soundfile", "soxr", "tensorflow", "keras", "torch", "torchaudio")
"""Those that shape results, or what processes send each other."""

_MIN_FREE_BYTES = 500 * 10**6
"""For Ray's own files, and those that a task writes on the way."""

_TIMEOUT_S = 120.0
"""For a node to answer: it has to start a process, and perhaps to fetch the code."""

_NOT_SHARED = (
    "this node has another folder of that name, or none: give a path that all nodes share (NFS, EFS), or a URI (s3://)"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    asked: str
    found: str
    problem: str = ""
    """For people: what, where, and what to do about it; empty where all is well."""


@dataclass(frozen=True, slots=True)
class _Places:
    """The job's files and folders, for every node to look at."""

    reads: dict[str, "Location"]
    writes: dict[str, "Location"]
    """Folders that exist (of one yet to be made, the nearest above it), and that the driver can write."""
    probe: str
    """Name of the file that the driver has put into each of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Report:
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


def connect(needs: Needs, *, dry_run: bool = False) -> None:
    """Connect to Ray, and see whether it can do what a job needs. Nothing happens where Ray is connected already.

    Args:
        needs: What the job asks for; where several nodes take part, they are told of in a table.
        dry_run: Print the table in any case, on standard output.

    Raises:
        UserError: There is no such cluster, it refuses this process, or something that the job needs is missing.
    """
    import ray

    if ray.is_initialized():
        return
    cluster.connect()
    rows = check(needs, must_exist=dry_run)
    if dry_run or len(ray.nodes()) > 1 or cluster.is_submitted():
        print(table(rows), file=sys.stdout if dry_run else sys.stderr, flush=True)
    try:
        require(rows)
    except UserError:
        ray.shutdown()  # or another try would find Ray connected, and not look again
        raise


def check(needs: Needs, *, must_exist: bool = False) -> list[Row]:
    """Look at the cluster and at the storage. Needs an initialised Ray; starts a short task on every other node.

    Args:
        needs: What the job asks for.
        must_exist: Also find fault with what is to be read and is not there; a job says more of it by itself.

    Returns:
        The table's rows, with what is wrong.
    """
    with _probed(needs) as (places, refusals):
        reports = _ask_nodes(places)
    reports[0].refusals.update(refusals)
    return [
        _resources(needs),
        *(_storage(option, f"read {needs.reads[option]}", reports, must_exist) for option in places.reads),
        *(_storage(option, f"write {needs.writes[option]}", reports) for option in needs.writes),
        _versions(reports),
        _disk(reports),
    ]


def require(rows: list[Row]) -> None:
    """Go on only where nothing is wrong.

    Raises:
        UserError: With a line for each problem.
    """
    if problems := [row.problem for row in rows if row.problem]:
        raise UserError("\n".join(problems))


def table(rows: list[Row]) -> str:
    """The rows in words, one below the other."""
    cells = [("preflight", "asked for", "there is", "")]
    cells += [(row.what, row.asked, row.found, "PROBLEM" if row.problem else "ok") for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


@contextmanager
def _probed(needs: Needs) -> Iterator[tuple[_Places, dict[str, str]]]:
    """The job's places, for as long as a file of the driver lies in each folder to be written; and, by option, why
    there is none.
    """
    from freqquest.runs.storage import locate, reason

    reads = {option: locate(path) for option, path in needs.reads.items() if path is not None}
    places = _Places(reads=reads, writes={}, probe=f".freqquest-probe-{uuid.uuid4().hex}")
    refusals = {}
    try:
        for option, path in needs.writes.items():
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


def _ask_nodes(places: _Places) -> list[_Report]:
    """The driver's own report, then those of all other nodes."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    names = _addresses()
    look = ray.remote(num_cpus=0, max_retries=0)(_look)
    asked = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(places, name): node
        for node, name in names.items()
        if node != here
    }
    reports = [_look(places, names[here])]
    answered = ray.wait(list(asked), num_returns=len(asked), timeout=_TIMEOUT_S)[0] if asked else []
    for answer, node in asked.items():
        try:
            reports.append(ray.get(answer) if answer in answered else _Report(node=names[node], lost="no answer"))
        except ray.exceptions.RayError as error:
            if node in _addresses():  # else it has gone meanwhile, as nodes of a cluster may
                reports.append(_Report(node=names[node], lost=str(error).strip().splitlines()[-1]))
    return reports


def _addresses() -> dict[str, str]:
    """Of the nodes that are there, by identifier."""
    import ray

    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def _look(places: _Places, node: str) -> _Report:
    """What can be seen and done on the node where this runs."""
    from freqquest.runs.storage import reason

    contents, refusals = {}, {}
    for option, place in places.reads.items():
        try:
            contents[option] = _contents(place)
        except OSError as error:
            refusals[option] = reason(error)
    for option, folder in places.writes.items():
        try:
            if not (folder / places.probe).exists():
                refusals[option] = _NOT_SHARED
                continue
            own = folder / f"{places.probe}-{uuid.uuid4().hex}"
            own.write_bytes(b"")
            own.remove_file()
        except OSError as error:
            refusals[option] = reason(error)
    return _Report(
        node=node,
        versions={"Python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        contents=contents,
        refusals=refusals,
    )


def _contents(place: "Location") -> str:
    """What lies there; of a folder that each node may have for itself, also which names."""
    if place.is_file():
        return f"{place.num_bytes()} bytes"
    if not place.is_dir():
        return "nothing"
    names = [os.fsencode(found.name) for found in Path(place.path).iterdir()] if place.is_local else []
    shown = sorted(name for name in names if not name.startswith(b"."))  # hidden ones come and go, as probes do
    return f"a folder {hashlib.sha256(b'/'.join(shown)).hexdigest()}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _resources(needs: Needs) -> Row:
    try:
        capacity.require(needs)
    except UserError as error:
        return Row("resources", str(needs), capacity.describe(), str(error))
    return Row("resources", str(needs), capacity.describe())


def _storage(option: str, use: str, reports: list[_Report], must_exist: bool = False) -> Row:
    """Whether all nodes can use a place, and mean the same by it."""
    own = reports[0].contents.get(option)
    for report in reports:
        refusal = report.refusals.get(option)
        if not (report.lost or refusal) and report.contents.get(option) != own:
            refusal = _NOT_SHARED
        if refusal:  # the first one is enough: others are mostly the same
            return Row(option, use, "", f"{option}: cannot {use} on node {report.node}: {refusal}")
    if own == "nothing":
        return Row(option, use, own, f"{option}: cannot {use}: there is nothing" if must_exist else "")
    return Row(option, use, f"{_nodes(reports)} can")


def _versions(reports: list[_Report]) -> Row:
    """Whether all nodes have the driver's."""
    own = reports[0].versions
    asked = ", ".join(f"{name} {own[name]}" for name in ("Python", "ray", "torch", "tensorflow"))
    for report in reports:
        differing = [f"{name} {there}" for name, there in sorted(report.versions.items()) if there != own[name]]
        if report.lost or differing:
            is_so = f"cannot run tasks ({report.lost})" if report.lost else f"has {', '.join(differing)}"
            found = f"node {report.node} {is_so}"
            fix = "every node needs the same Python, and what requirements.txt lists"
            return Row("versions", asked, found, f"{found}, the job's driver {asked}: {fix}")
    return Row("versions", asked, f"the same on {_nodes(reports)}")


def _disk(reports: list[_Report]) -> Row:
    least = min((report for report in reports if not report.lost), key=lambda report: report.free_bytes)
    asked, found = f"{_MIN_FREE_BYTES / 1e9} GB", f"{least.free_bytes / 1e9:.1f} GB or more on {_nodes(reports)}"
    if least.free_bytes >= _MIN_FREE_BYTES:
        return Row("free disk", asked, found)
    short = f"{least.free_bytes / 1e9:.1f} GB in {tempfile.gettempdir()} on node {least.node}"
    return Row("free disk", asked, short, f"free disk: {short}, Ray and its tasks want {asked}: make room there")


def _nodes(reports: list[_Report]) -> str:
    return "1 node" if len(reports) == 1 else f"all {len(reports)} nodes"
