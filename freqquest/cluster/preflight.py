"""Before any work: can this cluster do what a job asks for? Resources, storage, versions and free disk, in one table.

Light to import: Ray and file systems are loaded by the functions.
"""

import sys
import tempfile
from dataclasses import dataclass

from freqquest.cluster import capacity, connection
from freqquest.cluster.node_check import MISSING, NOT_SHARED, Report, ask_nodes, probed
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError

_MIN_FREE_BYTES = 500 * 10**6
"""For Ray's own files, and those that a task writes on the way."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    asked: str
    found: str
    problem: str = ""
    """For people: what, where, and what to do about it; empty where all is well."""

    @property
    def state(self) -> str:
        """In a word."""
        return "PROBLEM" if self.problem else "missing" if self.found == MISSING else "ok"


def connect(requirements: Requirements, *, dry_run: bool = False) -> None:
    """Connect to Ray, and see whether it can do what a job needs. Nothing happens where Ray is connected already.

    Args:
        needs: What the job asks for; where several nodes take part, they are told of in a table.
        dry_run: Print the table in any case, on standard output.

    Raises:
        UserError: There is no such cluster, it refuses this process, or something that the job needs is missing.
    """
    if not connection.connect():
        return
    import ray

    rows = check(requirements, must_exist=dry_run)
    if dry_run or len(ray.nodes()) > 1 or connection.is_submitted():
        print(table(rows), file=sys.stdout if dry_run else sys.stderr, flush=True)
    try:
        require(rows)
    except UserError:
        ray.shutdown()  # or another try would find Ray connected, and not look again
        raise


def check(requirements: Requirements, *, must_exist: bool = False) -> list[Row]:
    """Look at the cluster and at the storage. Needs an initialized Ray; starts a short task on every other node.

    Args:
        needs: What the job asks for.
        must_exist: Also find fault with what is to be read and is not there; a job says more of it by itself.

    Returns:
        The table's rows, with what is wrong.
    """
    with probed(requirements) as (places, refusals):
        reports = ask_nodes(places)
    reports[0].refusals.update(refusals)
    return [
        _resources(requirements),
        *(
            _storage(option, f"read {requirements.reads[option]}", reports, must_exist)
            for option in places.reads
        ),
        *(
            _storage(option, f"write {requirements.writes[option]}", reports)
            for option in requirements.writes
        ),
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
    cells += [(row.what, row.asked, row.found, row.state) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _resources(requirements: Requirements) -> Row:
    try:
        capacity.worker_resources(requirements)
    except UserError as error:
        return Row("resources", str(requirements), capacity.describe(), str(error))
    return Row("resources", str(requirements), capacity.describe())


def _storage(option: str, use: str, reports: list[Report], must_exist: bool = False) -> Row:
    """Whether all nodes can use a place, and mean the same by it."""
    own = reports[0].contents.get(option)
    for report in reports:
        refusal = report.refusals.get(option)
        if not (report.lost or refusal) and report.contents.get(option) != own:
            refusal = NOT_SHARED
        if refusal:  # the first one is enough: others are mostly the same
            return Row(
                option,
                use,
                f"node {report.node} cannot",
                f"`{option}`: cannot {use} on node {report.node}: {refusal}",
            )
    if own == MISSING:
        return Row(
            option, use, own, f"`{option}`: cannot {use}: there is nothing" if must_exist else ""
        )
    return Row(option, use, f"{_nodes(reports)} can")


def _versions(reports: list[Report]) -> Row:
    """Whether all nodes have the driver's."""
    own = reports[0].versions
    asked = ", ".join(f"{name} {own[name]}" for name in ("Python", "ray", "torch", "tensorflow"))
    for report in reports:
        differing = [
            f"{name} {there}"
            for name, there in sorted(report.versions.items())
            if there != own[name]
        ]
        if report.lost or differing:
            is_so = (
                f"cannot run tasks ({report.lost})"
                if report.lost
                else f"has {', '.join(differing)}"
            )
            found = f"node {report.node} {is_so}"
            fix = "every node needs the same Python, and what requirements.txt lists"
            return Row("versions", asked, found, f"{found}, the job's driver {asked}: {fix}")
    return Row("versions", asked, f"the same on {_nodes(reports)}")


def _disk(reports: list[Report]) -> Row:
    least = min(
        (report for report in reports if not report.lost), key=lambda report: report.free_bytes
    )
    asked, found = (
        f"{_MIN_FREE_BYTES / 1e9} GB",
        f"{least.free_bytes / 1e9:.1f} GB or more on {_nodes(reports)}",
    )
    if least.free_bytes >= _MIN_FREE_BYTES:
        return Row("free disk", asked, found)
    short = f"{least.free_bytes / 1e9:.1f} GB in {tempfile.gettempdir()} on node {least.node}"
    return Row(
        "free disk",
        asked,
        short,
        f"free disk: {short}, Ray and its tasks want {asked}: make room there",
    )


def _nodes(reports: list[Report]) -> str:
    return "1 node" if len(reports) == 1 else f"all {len(reports)} nodes"
