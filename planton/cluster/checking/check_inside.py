"""Tries archives out from within the cluster, once for each namespace and store: networks differ by namespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from planton.catalogue.probe import Finding, ProbeKey, probe_key
from planton.cluster.api.mask import scrubber_for
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.changes import ProgressEvent
from planton.cluster.checking.check_job import check_from_cluster
from planton.cluster.checking.checks import Checked, Target
from planton.errors import ClusterError, RefusedError


def check_inside(
    server: Server,
    targets: Sequence[Target],
    checked: Sequence[Checked],
    *,
    timeout: float,
    progress: Callable[[ProgressEvent], None],
) -> tuple[Checked, ...]:
    """Tries archives out by a Job each, and judges anew what was not reached from here.

    Args:
        server: The API server.
        targets: The archives.
        checked: What was found from here.
        timeout: How long a Job may take, in seconds.
        progress: Is told what is waited for, by one thread at a time.

    Returns:
        What was found from here, then what was found there. A store that is not reached from here alone counts as
        a warning.
    """
    chosen: dict[tuple[str, ProbeKey], Target] = {}
    for target in targets:
        if target.key is not None and target.is_there:
            chosen.setdefault((target.key.namespace, probe_key(target.access)), target)
    jobs = list(chosen.values())

    def run(target: Target) -> Checked:
        return _inside(server, target, timeout, progress)

    inside = results(in_parallel(run, jobs))
    missing = [_not_tried(one) for one in targets if one.key is not None and not one.is_there]
    good = {probe_key(target.access) for target, one in zip(jobs, inside, strict=True) if one.is_ok}
    subjects = {one.subject for one in targets if probe_key(one.access) in good}
    return (*(_less(one) if subjects & {*one.used_by} else one for one in checked), *inside, *missing)


def _inside(server: Server, target: Target, timeout: float, progress: Callable[[ProgressEvent], None]) -> Checked:
    key = target.key
    assert key is not None
    # What wal-g says there may quote its keys.
    known = scrubber_for([{"kind": "Secret", "data": target.access.contents.data()}])
    try:
        findings = check_from_cluster(
            server.during("check", known), key.namespace, key.name, timeout=timeout, progress=progress
        )
    except RefusedError as error:
        findings = (Finding("from the cluster", "not tried", "; ".join(error.reasons)),)
    except ClusterError as error:
        # The check did not come about, which is not that all is well.
        findings = (Finding("from the cluster", "failed", error.text, error.remedy),)
    return Checked("from the cluster", str(target.access.identity), (target.subject,), findings)


def _not_tried(target: Target) -> Checked:
    finding = Finding("from the cluster", "not tried", "the database is not there yet: it has no pods to take it from")
    return Checked("from the cluster", str(target.access.identity), (target.subject,), (finding,))


def _less(checked: Checked) -> Checked:
    """Makes a warning of what only this machine's place in the network is the reason for."""
    findings = tuple(
        replace(one, outcome="warning", remedy="From within the cluster it is reached.")
        if one.outcome == "failed" and one.problem == "unreachable"
        else one
        for one in checked.findings
    )
    return replace(checked, findings=findings)
