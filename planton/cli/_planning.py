"""What plan, apply and delete share: options, the head with the cluster, results, and what a signal broke off."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from planton.cli._changes import changes_data, counts, show_changes, show_head, show_old_credentials, summary_line
from planton.cli._exit import INTERRUPTED, Stopped
from planton.cli._output import Console, OutputError, printable
from planton.cli._problems import as_data, show_warnings
from planton.cli._progress import Progress
from planton.cluster import ApplyResult, Plan, PlanOptions
from planton.errors import ClusterError, PlantonError
from planton.stopping import STOPPING
from planton.words import counted, first_few

if TYPE_CHECKING:
    from planton.cluster import Change, Cluster, ClusterIdentity
    from planton.types import Resource

R = TypeVar("R", bound=Plan | ApplyResult)
_AGAIN = "the same command goes on from there"
_NAMED = 3
"""How many of the objects that were not done are named; the next plan names them all."""


def plan_options(arguments: argparse.Namespace) -> PlanOptions:
    """Gives the options of a plan.

    Args:
        arguments: What was asked for.

    Returns:
        The options.
    """
    return PlanOptions(
        set_id=arguments.set_id,
        operator_namespace=arguments.operator_namespace,
        cluster_id=arguments.cluster_id,
        force_conflicts=arguments.force_conflicts,
        allow_version_change=arguments.allow_version_change,
        allow_encryption_change=arguments.allow_encryption_change,
        allow_archive_reuse=arguments.allow_archive_reuse,
        skip_checks=arguments.skip_checks,
    )


def planned(work: Callable[[Progress], R], identity: ClusterIdentity, console: Console) -> R:
    """Makes a plan, with progress. When there is none, says which cluster was asked.

    Args:
        work: Makes it.
        identity: The cluster.
        console: Where to show the progress.

    Returns:
        The plan.

    Raises:
        PlantonError: It is refused, or could not be made.
        Stopped: A signal came.
    """
    STOPPING.done = lambda: "Nothing was written."
    try:
        with Progress(console) as progress:
            return work(progress)
    except PlantonError:
        console.plain(f"Cluster: {identity}")
        raise
    except (KeyboardInterrupt, Stopped) as stop:
        raise _stopped(stop, "while planning") from None
    finally:
        STOPPING.done = None


def shown_plan(
    cluster: Cluster, manifests: Sequence[Resource], arguments: argparse.Namespace, console: Console
) -> Plan:
    """Plans as the options say, and prints what stands above every plan: warnings and which cluster is meant.

    Args:
        cluster: The cluster.
        manifests: The set.
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The plan.

    Raises:
        PlantonError: It is refused, or could not be made.
        OutputError: It could not be written.
    """
    options = plan_options(arguments)
    plan = planned(
        lambda progress: cluster.plan(manifests, options=options, progress=progress), cluster.identity, console
    )
    show_warnings(plan.warnings, console)
    show_cluster(plan, arguments, console)
    return plan


def carried_out(
    work: Callable[[Progress], ApplyResult],
    plan: Plan,
    arguments: argparse.Namespace,
    console: Console,
    *,
    again: str = "",
) -> ApplyResult:
    """Carries a plan out, with progress. When that breaks off, prints what was done before.

    Args:
        work: Carries it out.
        plan: What was planned.
        arguments: What was asked for.
        console: Where to print.
        again: What goes on from there after a signal; empty for the same command.

    Returns:
        The result.

    Raises:
        ClusterError: It failed.
        PlantonError: Something else was wrong, before anything was written.
        Stopped: A signal came.
    """
    progress = Progress(console)
    # From here on it is told by what was done.
    untouched, console.untouched = console.untouched, ""
    STOPPING.done = lambda: _so_far(progress, plan, again or _AGAIN)
    try:
        with progress:
            return work(progress)
    except ClusterError as error:
        _show_partial(plan, error.changes, arguments, console)
        raise
    except Exception as error:
        done = tuple(getattr(error, "changes", ())) or progress.done_of(plan)
        if done:
            _show_partial(plan, done, arguments, console)
        if not isinstance(error, PlantonError):
            raise
        if not done:
            # Such an error comes of what is looked at between two writes: this was before the first one.
            console.untouched = untouched
            raise
        text = str(error)
    except (KeyboardInterrupt, Stopped) as stop:
        done, left = progress.done_of(plan), progress.left_of(plan)
        _show_partial(plan, done, arguments, console)
        changed = counted(sum(change.action not in ("unchanged", "skipped", "refused") for change in done), "change")
        phase = progress.phase or "read"
        again = again or _AGAIN
        raise _stopped(
            stop, f"in phase {phase}, after at least {changed}{_not_done(left)}. What was done stays; {again}"
        ) from None
    finally:
        STOPPING.done = None
    remedy = "What was done stays. Mend this, then run the same command again."
    raise ClusterError(text, phase=progress.phase, remedy=remedy, changes=done)


def _so_far(progress: Progress, plan: Plan, again: str) -> str:
    """Words what was done, from memory alone, for the end without any wait."""
    written, wanted = progress.so_far(plan)
    phase = progress.phase or "read"
    more = f", up to {STOPPING.under_way} more may have been" if STOPPING.under_way else ""
    return f"At least {written} of {wanted} written (phase {phase}){more}. What was done stays; {again}."


def _not_done(left: Sequence[Change]) -> str:
    """Words what was not done, as far as is known: the first few by name."""
    if not left:
        return ""
    names = first_few([change.subject for change in left], _NAMED)
    return f"; not done, as far as is known: {counted(len(left), 'object')}: {names}"


def _stopped(stop: BaseException, text: str) -> Stopped:
    code, word = (stop.code, stop.word) if isinstance(stop, Stopped) else (INTERRUPTED, "interrupted")
    return Stopped(code, f"{word} {text}")


def _show_partial(plan: Plan, changes: tuple[Change, ...], arguments: argparse.Namespace, console: Console) -> None:
    effects = tuple(dict.fromkeys(effect for change in changes for effect in change.effects))
    result = ApplyResult(plan.identity, changes, plan.warnings, effects)
    # What ended it counts more than an output that nobody gets.
    with contextlib.suppress(OutputError):
        show_result(result, plan, arguments, console, word="Done before it ended", complete=False)


def show_cluster(plan: Plan, arguments: argparse.Namespace, console: Console) -> None:
    """Prints which cluster is meant, where people read.

    Args:
        plan: The plan.
        arguments: What was asked for.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    if arguments.output != "table":
        return
    # Only an apply prunes.
    is_delete = "databases" in arguments
    without_set = "" if is_delete else "none, so nothing is pruned"
    facts = (
        ("Server", plan.identity.server),
        ("Context", f"{plan.identity.context} of {plan.identity.kubeconfig}"),
        ("Target cluster", ", ".join(plan.target_clusters)),
        ("Set", without_set if arguments.set_id is None else arguments.set_id),
    )
    show_head(facts, console)
    console.out("")
    # Whoever reads a pipe sees it before the work begins; and if nobody does, it does not begin.
    console.flush()


def show_result(
    result: Plan | ApplyResult,
    plan: Plan,
    arguments: argparse.Namespace,
    console: Console,
    *,
    word: str,
    complete: bool | None = None,
) -> None:
    """Prints a plan or a result in the form that was asked for. A result that cannot be printed is counted on stderr.

    Args:
        result: What to print.
        plan: The plan behind it, for the target clusters.
        arguments: What was asked for.
        console: Where to print.
        word: Stands before the counts, for people.
        complete: Whether all was done, for programs; None for a plan.

    Raises:
        OutputError: It could not be written.
    """
    try:
        _print(result, plan, arguments, console, word, complete)
        if isinstance(result, ApplyResult):
            console.flush()
    except OutputError:
        # What became of the cluster has to be known, wherever the output went.
        if isinstance(result, ApplyResult):
            console.plain(f"{word}: {summary_line(result.changes)}")
        raise


def _print(
    result: Plan | ApplyResult,
    plan: Plan,
    arguments: argparse.Namespace,
    console: Console,
    word: str,
    complete: bool | None,
) -> None:
    if arguments.output == "table":
        _show_table(result, arguments, console, word)
        return
    identity = result.identity
    data: dict[str, Any] = {
        "cluster": {"server": identity.server, "context": identity.context, "kubeconfig": identity.kubeconfig},
        "targetClusters": list(plan.target_clusters),
        "set": getattr(arguments, "set_id", None),
        "complete": complete,
        "changed": result.changed,
        "summary": counts(result.changes),
        "changes": changes_data(result.changes),
        "effects": list(result.effects),
        "warnings": [as_data(problem) for problem in result.warnings],
    }
    if complete is None:
        del data["complete"]
    if old := getattr(result, "old_credentials", ()):
        data["oldCredentials"] = list(old)
    if remaining := getattr(result, "remaining", ()):
        data["remaining"] = [one.data() for one in remaining]
    (console.json if arguments.output == "json" else console.yaml)(data)


def _show_table(result: Plan | ApplyResult, arguments: argparse.Namespace, console: Console, word: str) -> None:
    if isinstance(result, Plan) and any(change.action != "unchanged" or arguments.all for change in result.changes):
        verb = "A delete" if "databases" in arguments else "An apply"
        console.out(f"Nothing is done yet. {verb} would say:")
    show_changes(result.changes, console, unchanged=arguments.all)
    told = {effect for change in result.changes for effect in change.effects}
    for effect in (effect for effect in result.effects if effect not in told):
        console.out(f"{console.paint('!', 'bold', 'yellow')} {printable(effect)}")
    if any(change.action != "unchanged" or arguments.all for change in result.changes):
        console.out("")
    show_old_credentials(getattr(result, "old_credentials", ()), console)
    console.out(f"{word}: {summary_line(result.changes)}")
