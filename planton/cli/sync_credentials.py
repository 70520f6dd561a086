"""`planton sync-credentials`: brings the operator's credentials to every namespace with a database."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from planton.cli._arguments import (
    Parser,
    add_cluster,
    add_operator,
    add_output,
    add_timeout,
    add_verbose,
    describe,
    duration,
    writes,
)
from planton.cli._exit import DONE, HUNG_UP, UsageError
from planton.cli._output import Console

if TYPE_CHECKING:
    from planton.cluster import Change, Cluster

_HELP = """
Copies the operator's Secrets, and the annotations of the pods' service account, to every namespace that has a
database, also to those that planton did not make. Secrets of others that the operator's manifest refers to are read
again: when they hold other keys, every copy follows, and in the end the operator restarts the pods, one after the
other. Needs no manifests. Whatever stops it, the next run goes on from there; a second run changes nothing.

With --watch it stays, follows databases and Secrets as they change, and prints a line for each object that it
changes. With --render-cron-job it prints a CronJob that does it, with an account that may do nothing else.

Exit codes: 0 done, or nothing to do; 1 refused, failed or not ready in time (all namespaces that could be done
are done; stdout says which); with --watch 0 when stopped by Ctrl-C or SIGTERM.

Examples:
  planton sync-credentials --context production
  planton sync-credentials --watch --interval 10m
  planton sync-credentials --render-cron-job --image registry.example/planton:1.0 >sync.yaml
  kubectl apply -f sync.yaml                           # after a look at its roles
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    add_output(parser, "table", "json", text="form of the output; with --watch json is one line a change")
    parser.add_argument("--all", action="store_true", help="list objects that do not change, too")
    add_verbose(parser)
    parser.add_argument("--watch", action="store_true", help="stay, and do at once what a change asks for")
    parser.add_argument(
        "--interval",
        type=duration,
        default=300.0,
        metavar="DURATION",
        help="with --watch: how often to look at everything again (default: 5m)",
    )
    add_timeout(parser)
    job = parser.add_argument_group("CronJob")
    job.add_argument("--render-cron-job", action="store_true", help="print a CronJob and its roles; write nothing")
    job.add_argument("--image", metavar="IMAGE", help="image with the command planton")
    job.add_argument("--schedule", metavar="CRON", default="*/5 * * * *", help='when it runs (default: "*/5 * * * *")')
    add_cluster(parser)
    group = parser.add_argument_group("planning")
    add_operator(group)
    writes(parser)
    group.add_argument("--in-cluster", action="store_true", help="use the service account of the pod this runs in")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Synchronises.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: The options do not fit together.
    """
    _check(arguments)
    from planton.cli._sources import open_cluster

    if arguments.render_cron_job:
        console.untouched = ""
    cluster = open_cluster(arguments)
    # From here on it is told by what was done.
    console.untouched = ""
    if arguments.render_cron_job:
        _render(cluster, arguments, console)
    elif arguments.watch:
        _watch(cluster, arguments, console)
    else:
        _once(cluster, arguments, console)
    return DONE


def _check(arguments: argparse.Namespace) -> None:
    if arguments.watch and arguments.render_cron_job:
        raise UsageError("--watch and --render-cron-job are two things", "Give one of them.")
    if arguments.in_cluster and (arguments.kubeconfig or arguments.context):
        raise UsageError("--in-cluster takes no --kubeconfig and no --context", "Give one or the other.")
    if arguments.render_cron_job and not arguments.image:
        raise UsageError("say which image the CronJob runs", "Give --image IMAGE: one with the command planton.")
    if arguments.image and not arguments.render_cron_job:
        raise UsageError("--image is for --render-cron-job", "Give both, or none.")
    if arguments.render_cron_job:
        from planton.manifest._cron import schedule_problem

        problem = schedule_problem(arguments.schedule) if arguments.schedule.strip() else "is empty"
        if problem:
            raise UsageError(f"--schedule {problem}", 'Such as --schedule "*/5 * * * *".')


def _render(cluster: Cluster, arguments: argparse.Namespace, console: Console) -> None:
    from planton.errors import RefusedError
    from planton.translate.sync_job import sync_job

    platform, _ = cluster.facts(arguments.operator_namespace)
    if platform is None:
        raise RefusedError(["the operator has no backups that planton set up, so there is nothing to copy"])
    objects = sync_job(platform, arguments.image, arguments.schedule)
    if arguments.output == "json":
        console.json({"apiVersion": "v1", "kind": "List", "items": objects})
    else:
        console.yaml(*objects)


def _once(cluster: Cluster, arguments: argparse.Namespace, console: Console) -> None:
    from planton.cli._exit import INTERRUPTED, Stopped
    from planton.cli._progress import Progress
    from planton.errors import ClusterError

    written: list[Change] = []
    try:
        with Progress(console) as progress:
            result = cluster.synchronise_credentials(
                arguments.operator_namespace,
                timeout=arguments.timeout,
                progress=progress,
                on_change=written.append,
            )
    except ClusterError as error:
        _show(cluster, error.changes, arguments, console, complete=False)
        raise
    except (KeyboardInterrupt, Stopped) as stop:
        _show(cluster, tuple(written), arguments, console, complete=False)
        code, word = (stop.code, stop.word) if isinstance(stop, Stopped) else (INTERRUPTED, "interrupted")
        raise Stopped(code, f"{word}. What was done stays; the same command goes on from there") from None
    _show(cluster, result.changes, arguments, console, complete=True, old=result.old_credentials)


def _show(
    cluster: Cluster,
    changes: tuple[Change, ...],
    arguments: argparse.Namespace,
    console: Console,
    *,
    complete: bool,
    old: tuple[str, ...] = (),
) -> None:
    from planton.cli._changes import (
        changes_data,
        counts,
        show_changes,
        show_head,
        show_old_credentials,
        summary_line,
    )

    identity = cluster.identity
    changed = any(change.action in ("created", "configured") for change in changes)
    if arguments.output == "json":
        console.json(
            {
                "cluster": {
                    "server": identity.server,
                    "context": identity.context,
                    "kubeconfig": identity.kubeconfig,
                },
                "complete": complete,
                "changed": changed,
                "summary": counts(changes),
                "changes": changes_data(changes),
                **({"oldCredentials": list(old)} if old else {}),
            }
        )
        return
    show_head((("Server", identity.server), ("Context", f"{identity.context} of {identity.kubeconfig}")), console)
    console.out("")
    show_changes(changes, console, unchanged=arguments.all)
    if any(change.action != "unchanged" or arguments.all for change in changes):
        console.out("")
    show_old_credentials(old, console)
    word = ("Done" if changed else "Nothing to do") if complete else "Done before it ended"
    console.out(f"{word}: {summary_line(changes)}")


def _watch(cluster: Cluster, arguments: argparse.Namespace, console: Console) -> None:
    import threading
    from collections import Counter

    from planton.cli._exit import Stopped
    from planton.errors import PlantonError

    lock = threading.Lock()
    count: Counter[str] = Counter()

    def show_change(change: Change) -> None:
        with lock:
            count[change.action] += 1
            if arguments.output == "json":
                _line(change, console)
            else:
                reason = f" ({change.reason})" if change.reason else ""
                _say(f"{change.action} {change.subject}{reason}", console)

    def show_error(error: PlantonError) -> None:
        with lock:
            count["failed"] += 1
            console.error(f"{_now()} {error}")

    follower = cluster.follow_credentials(
        arguments.operator_namespace, interval=arguments.interval, on_change=show_change, on_error=show_error
    )
    console.plain(f"Watching {cluster.identity}; Ctrl-C ends it.")
    try:
        follower.run()
    except (KeyboardInterrupt, Stopped) as stop:
        if isinstance(stop, Stopped) and stop.code == HUNG_UP:
            raise
    words = ", ".join(f"{count[word]} {word}" for word in ("created", "configured", "skipped"))
    console.plain(f"Stopped: {words}; {count['failed']} errors")


def _line(change: Change, console: Console) -> None:
    import json

    data: dict[str, Any] = {
        "time": _now(),
        "action": change.action,
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "reason": change.reason,
    }
    console.out(json.dumps(data, ensure_ascii=False))
    console.flush()


def _say(text: str, console: Console) -> None:
    from planton.cli._output import printable

    console.out(f"{_now()} {printable(text)}")
    # Whoever reads a pipe sees it now.
    console.flush()


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
