"""Checks of the cluster before any work: resources, storage, versions, free disk.

Light to import: Ray and file systems are loaded by the functions.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from freqquest.cluster import capacity, connection
from freqquest.cluster.node_check import MISSING, NOT_SHARED, NodeReport, check_nodes, probed_paths
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError, render_parameters

_MIN_FREE_BYTES = 500 * 10**6
"""Free disk for Ray's own files and for the temporary files of tasks."""


def _plain(text: str) -> str:
    """Return a text with its marked parameters under their plain names."""
    return render_parameters(text, lambda name, value: name if value is None else f"{name}={value}")


render: Callable[[str], str] = _plain
"""Function that shows the marked parameters of a text; the command line puts flags instead."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    subject: str
    """Resource or marked parameter that was checked."""

    needed: str
    """Demand of the job."""

    found: str
    """Result of the check."""

    problem: str = ""
    """Message with the problem and its fix; empty if there is none."""

    @property
    def state(self) -> str:
        """Result in one word."""
        return "PROBLEM" if self.problem else "missing" if self.found == MISSING else "ok"


def connect(requirements: Requirements, *, dry_run: bool = False) -> None:
    """Connect to Ray if it is not connected yet, and check that it can do a job.

    The checks of a submitted job, or on several nodes, are printed as a table on standard error.

    Args:
        requirements: Requirements of the job.
        dry_run: Print the table in any case, on standard output.

    Raises:
        UserError: There is no cluster, it refuses this process, or lacks what the job needs.
    """
    is_new = connection.connect()
    import ray

    try:
        rows = check(requirements, must_exist=dry_run)
        if dry_run or len(ray.nodes()) > 1 or connection.is_submitted():
            print(table(rows), file=sys.stdout if dry_run else sys.stderr, flush=True)
        require(rows)
    except BaseException:
        if is_new:  # a Ray that was connected before is the caller's
            ray.shutdown()
        raise


def check(requirements: Requirements, *, must_exist: bool = False) -> list[Row]:
    """Check the cluster and the storage, with a short task on every other node.

    Needs an initialized Ray.

    Args:
        requirements: Requirements of the job.
        must_exist: Also report files to read that do not exist; a job reports them in more detail.

    Returns:
        Rows of the table, with the problems.
    """
    with probed_paths(requirements) as (paths, refusals):
        reports = check_nodes(paths)
    reports[0].refusals.update(refusals)
    return [
        _check_resources(requirements),
        *(
            _check_path(name, f"read {requirements.reads[name]}", reports, must_exist)
            for name in paths.reads
        ),
        *(
            _check_path(name, f"write {path}", reports)
            for name, path in requirements.writes.items()
        ),
        _check_versions(reports),
        _check_disk(reports),
    ]


def require(rows: list[Row]) -> None:
    """Refuse a job that has problems.

    Raises:
        UserError: There are problems; the text has a line for each.
    """
    if problems := [row.problem for row in rows if row.problem]:
        raise UserError("\n".join(problems))


def table(rows: list[Row]) -> str:
    """Return the rows as a text table."""
    cells = [("check", "needed", "found", "result")]
    cells += [(render(row.subject), row.needed, row.found, row.state) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _check_resources(requirements: Requirements) -> Row:
    problem = ""
    try:
        capacity.worker_resources(requirements)
    except UserError as error:
        problem = str(error)
    return Row("resources", str(requirements), capacity.describe(), problem)


def _check_path(name: str, use: str, reports: list[NodeReport], must_exist: bool = False) -> Row:
    """Check that all nodes can use a path, and see the same contents there."""
    subject = f"`{name}`"
    driver_contents = reports[0].contents.get(name)
    for report in reports:
        refusal = report.refusals.get(name)
        if not (report.failure or refusal) and report.contents.get(name) != driver_contents:
            refusal = NOT_SHARED
        if refusal:  # the first one is enough: others are mostly the same
            problem = f"{subject}: cannot {use} on node {report.node}: {refusal}"
            return Row(subject, use, f"node {report.node} cannot", problem)
    if driver_contents == MISSING:
        problem = f"{subject}: cannot {use}: it does not exist" if must_exist else ""
        return Row(subject, use, MISSING, problem)
    return Row(subject, use, f"{_count_nodes(reports)} can")


def _check_versions(reports: list[NodeReport]) -> Row:
    """Check that all nodes have the driver's versions."""
    driver = reports[0].versions
    needed = ", ".join(
        f"{name} {driver[name]}" for name in ("Python", "ray", "torch", "tensorflow")
    )
    for report in reports:
        differing = [
            f"{name} {version}"
            for name, version in sorted(report.versions.items())
            if version != driver[name]
        ]
        if report.failure:
            found = f"node {report.node} cannot run tasks ({report.failure})"
        elif differing:
            found = f"node {report.node} has {', '.join(differing)}"
        else:
            continue
        fix = "every node needs the same Python, and the packages of requirements.txt"
        return Row("versions", needed, found, f"{found}, the job's driver {needed}: {fix}")
    return Row("versions", needed, f"the same on {_count_nodes(reports)}")


def _check_disk(reports: list[NodeReport]) -> Row:
    checked = (report for report in reports if not report.failure)
    least = min(checked, key=lambda report: report.free_bytes)
    needed, free = f"{_MIN_FREE_BYTES / 1e9} GB", f"{least.free_bytes / 1e9:.1f} GB"
    if least.free_bytes >= _MIN_FREE_BYTES:
        return Row("free disk", needed, f"{free} or more on {_count_nodes(reports)}")
    found = f"{free} in {tempfile.gettempdir()} on node {least.node}"
    problem = f"free disk: {found}, Ray and its tasks need {needed}: free some there"
    return Row("free disk", needed, found, problem)


def _count_nodes(reports: list[NodeReport]) -> str:
    return "1 node" if len(reports) == 1 else f"all {len(reports)} nodes"
