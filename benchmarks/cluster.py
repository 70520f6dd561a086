"""How fast many databases are applied and planned, beside kubectl and beside plain loops of requests.

Every fresh apply has an API server of its own, that nothing was written to but the operator; the operator is stopped
before, since a thousand new databases would keep it busy on the same processors. What changes nothing is measured at
one server, in turn: kubectl is told to be planton's field manager, so that for it nothing changes, either. Run it by
`make bench`, or with other numbers:

    python -m benchmarks.cluster --databases 1000 --rounds 3
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import planton
from benchmarks.cluster_processes import Measured, measured
from benchmarks.report import Table
from planton.cluster import PlanOptions, connect
from planton.yaml_writer import documents
from sandbox import Sandbox, build
from tests.cluster.conftest import SETTINGS
from tests.manifests import database, operator

_CONNECTIONS = (1, 8, 16)
_CHANGED = 10


@dataclass(frozen=True)
class Files:
    """What is applied.

    Attributes:
        folder: Where it is; private, since Secrets are among it.
        operator: Manifest of the operator.
        databases: Manifests of the databases.
        changed: The same, some of them changed.
        objects: What the databases are rendered to.
        count: How many objects that is.
    """

    folder: Path
    operator: Path
    databases: Path
    changed: Path
    objects: Path
    count: int


@dataclass(frozen=True)
class Place:
    """A control plane with the operator in it, and what is run there.

    Attributes:
        sandbox: The control plane.
        files: What is applied.
        kubectl: Path of kubectl.
    """

    sandbox: Sandbox
    files: Files
    kubectl: Path

    def run(self, *command: str | Path, codes: Sequence[int] = (0,)) -> Measured:
        """Runs and measures a program.

        Args:
            *command: The program and its arguments.
            codes: Exit codes that are no failure.

        Returns:
            What it took.
        """
        return measured(command, log=self.sandbox.audit_log, scratch=self.files.folder, codes=codes)

    def planton(self, verb: str, files: Path, codes: Sequence[int] = (0,)) -> Measured:
        """Runs planton as a whole process. Stores are not asked: there are none.

        Args:
            verb: What it does.
            files: Manifests.
            codes: Exit codes that are no failure.

        Returns:
            What it took.
        """
        options = ("--kubeconfig", self.sandbox.kubeconfig, "--skip-check")
        return self.run(sys.executable, "-m", "planton", verb, "-f", files, *options, codes=codes)

    def server_side(self, verb: str, manager: str = "planton") -> Measured:
        """Runs kubectl as a whole process, by server-side apply.

        Args:
            verb: apply or diff.
            manager: Field manager.

        Returns:
            What it took.
        """
        options = (f"--kubeconfig={self.sandbox.kubeconfig}", "--server-side", f"--field-manager={manager}")
        return self.run(self.kubectl, verb, *options, "-f", self.files.objects)

    def plain(self, what: str, *arguments: str | Path) -> Measured:
        """Runs one of the plain loops.

        Args:
            what: Its name.
            *arguments: Its arguments after the kubeconfig.

        Returns:
            What it took; the seconds are those that it says, without its start.
        """
        module = "benchmarks.cluster_processes"
        done = self.run(sys.executable, "-m", module, what, self.sandbox.kubeconfig, *arguments)
        return Measured(float(done.output), done.processor, done.mebibytes, done.requests, "")


def write_files(folder: Path, databases: int) -> Files:
    """Writes manifests, and what they are rendered to.

    Args:
        folder: A private folder.
        databases: How many.

    Returns:
        The files.
    """
    texts = [database(f"bench-{number:05}") for number in range(databases)]
    step = max(1, databases // _CHANGED)
    changed = [text.replace("10Gi", "20Gi") if not n % step else text for n, text in enumerate(texts)]
    plain = operator(spec=SETTINGS)
    names = ("operator.yaml", "databases.yaml", "changed.yaml", "objects.yaml")
    paths = [folder / name for name in names]
    paths[0].write_text(plain)
    paths[1].write_text("".join(texts))
    paths[2].write_text("".join(changed))
    rendering = planton.render(planton.loads(plain + "".join(texts)))
    objects = [
        one for one in rendering if "bench-" in f"{one['metadata'].get('namespace', '')}{one['metadata']['name']}"
    ]
    paths[3].write_text(documents(objects))
    return Files(folder, paths[0], paths[1], paths[2], paths[3], len(objects))


@contextmanager
def _place(files: Files, kubectl: Path) -> Iterator[Place]:
    with Sandbox.start() as sandbox:
        manifests = planton.load(files.operator)
        connect(sandbox.kubeconfig).apply(manifests, options=PlanOptions(skip_checks=True), timeout=120.0)
        sandbox.stop_operator()
        place = Place(sandbox, files, kubectl)
        # kubectl keeps what it has discovered; the first time is not its everyday.
        place.run(kubectl, f"--kubeconfig={sandbox.kubeconfig}", "get", "namespaces,postgresqls")
        yield place


def _install(kubectl: Path, files: Files) -> dict[str, Measured]:
    """Installs the operator alone, in an empty cluster: by planton, and by helm with the operator's own chart.

    The sandbox does not run what the chart deploys, whose variables are not those of planton's, so helm does not wait.
    """
    helm, chart = build.ensure_clients().helm, build.operator_chart()
    found = {}
    with Sandbox.start() as sandbox:
        place = Place(sandbox, files, kubectl)
        found["`planton apply`, until the operator is there"] = place.planton("apply", files.operator)
    with Sandbox.start() as sandbox:
        options = (f"--kubeconfig={sandbox.kubeconfig}", "--namespace=postgres-operator", "--create-namespace")
        place = Place(sandbox, files, kubectl)
        found["`helm install`, which waits for nothing"] = place.run(
            helm, "install", "postgres-operator", chart, *options
        )
    return found


def _writers() -> dict[str, Callable[[Place], Measured]]:
    def plain(what: str, connections: int) -> Callable[[Place], Measured]:
        return lambda place: place.plain(what, place.files.objects, str(connections))

    def say(connections: int) -> str:
        return f"{connections} connection{'s' if connections > 1 else ''}"

    return {
        "`planton apply`": lambda place: place.planton("apply", place.files.databases),
        "an apply in Python, once planned": lambda place: place.plain("applying", place.files.databases),
        "`kubectl apply --server-side`": lambda place: place.server_side("apply"),
        **{f"plain loop, {say(one)}": plain("threads", one) for one in _CONNECTIONS},
        "plain loops, 8 processes": plain("processes", 8),
    }


def _readers() -> dict[str, Callable[[Place], Measured]]:
    return {
        "`planton plan`": lambda place: place.planton("plan", place.files.databases),
        "`planton apply`": lambda place: place.planton("apply", place.files.databases),
        "`planton plan`, without its start": lambda place: place.plain("planning", place.files.databases),
        "plain lists of raw JSON": lambda place: place.plain("listing"),
        "`kubectl apply --server-side`": lambda place: place.server_side("apply"),
        "`kubectl diff --server-side`": lambda place: place.server_side("diff"),
    }


def _rotated(names: Sequence[str], by: int) -> list[str]:
    return [*names[by % len(names) :], *names[: by % len(names)]]


def _median(runs: Sequence[Measured], part: str) -> float:
    return float(statistics.median(getattr(one, part) for one in runs))


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def apply_table(runs: Mapping[str, Sequence[Measured]], count: int, facts: Sequence[str]) -> Table:
    """Makes the table of fresh applies.

    Args:
        runs: What was measured, round by round.
        count: How many objects.
        facts: What stands above it.

    Returns:
        The table.
    """
    best = min((name for name in runs if name.startswith("plain")), key=lambda name: _median(runs[name], "seconds"))
    rows = []
    for name, mine in runs.items():
        against = [
            statistics.median(theirs.seconds / ours.seconds for theirs, ours in zip(runs[other], mine, strict=True))
            for other in ("`kubectl apply --server-side`", best)
        ]
        rate = statistics.median(count / one.seconds for one in mine)
        rows.append(
            [
                name,
                f"{rate:.0f}",
                _seconds(_median(mine, "seconds")),
                _seconds(_median(mine, "processor")),
                f"{_median(mine, 'requests'):.0f}",
                f"{_median(mine, 'mebibytes'):.0f} MiB",
                f"{against[0]:.2f}",
                f"{against[1]:.2f}",
            ]
        )
    head = (
        "what",
        "objects a second",
        "time",
        "its processor time",
        "requests",
        "memory",
        "to kubectl",
        "to the ceiling",
    )
    return Table("apply", head, rows, (*facts, f"the ceiling is: {best}"))


def plan_table(runs: Mapping[str, Sequence[Measured]], facts: Sequence[str]) -> Table:
    """Makes the table of what changes nothing, or little.

    Args:
        runs: What was measured, round by round.
        facts: What stands above it.

    Returns:
        The table.
    """
    others = ("`kubectl apply --server-side`", "`kubectl diff --server-side`", "plain lists of raw JSON")
    rows = []
    for name, mine in runs.items():
        ratios = [
            statistics.median(theirs.seconds / ours.seconds for theirs, ours in zip(runs[other], mine, strict=True))
            for other in others
        ]
        rows.append(
            [
                name,
                _seconds(_median(mine, "seconds")),
                _seconds(_median(mine, "processor")),
                f"{_median(mine, 'requests'):.0f}",
                f"{_median(mine, 'mebibytes'):.0f} MiB",
                f"{ratios[0]:.1f}",
                f"{ratios[1]:.1f}",
                f"{1 / ratios[2]:.1f}",
            ]
        )
    head = (
        "what",
        "time",
        "its processor time",
        "requests",
        "memory",
        "times faster than kubectl apply",
        "than kubectl diff",
        "times as long as the lists",
    )
    return Table("plan", head, rows, facts)


def install_table(runs: Mapping[str, Sequence[Measured]], facts: Sequence[str]) -> Table:
    """Makes the table of the operator alone.

    Args:
        runs: What was measured, round by round.
        facts: What stands above it.

    Returns:
        The table.
    """
    rows = [
        [
            name,
            _seconds(_median(mine, "seconds")),
            _seconds(_median(mine, "processor")),
            f"{_median(mine, 'requests'):.0f}",
            f"{_median(mine, 'mebibytes'):.0f} MiB",
        ]
        for name, mine in runs.items()
    ]
    return Table("install", ("what", "time", "its processor time", "requests", "memory"), rows, facts)


def main() -> None:
    """Measures, and shows the tables."""
    parser = argparse.ArgumentParser(description="How fast many databases are applied and planned.")
    parser.add_argument("--databases", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--only", default="", help="measure what this expression finds in the name, and no other")
    parser.add_argument("--no-plan", action="store_true", help="leave the table of plans out")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    arguments = parser.parse_args()
    kubectl = build.ensure_clients().kubectl
    writers = {name: one for name, one in _writers().items() if re.search(arguments.only, name)}
    readers = {} if arguments.no_plan else _readers()
    written: dict[str, list[Measured]] = {name: [] for name in writers}
    installed: dict[str, list[Measured]] = {}
    read: dict[str, list[Measured]] = {name: [] for name in [*readers, "10 changed: plan", "10 changed: apply"]}
    # Readable by nobody else: the Secrets in it are those of a made-up store, but they are written as real ones are.
    with tempfile.TemporaryDirectory(prefix="planton-bench-") as folder:
        files = write_files(Path(folder), arguments.databases)
        for number in range(arguments.rounds):
            for name in _rotated(list(writers), number):
                with _place(files, kubectl) as place:
                    written[name].append(writers[name](place))
                    print(f"round {number + 1}: {name}: {written[name][-1]}"[:400], file=sys.stderr, flush=True)
                    if name != "`planton apply`" or not readers:
                        continue
                    for reader in _rotated(list(readers), number):
                        read[reader].append(readers[reader](place))
                        print(f"  {reader}: {read[reader][-1].seconds}", file=sys.stderr, flush=True)
                    if readers:
                        read["10 changed: plan"].append(place.planton("plan", files.changed, codes=(2,)))
                        read["10 changed: apply"].append(place.planton("apply", files.changed))
        if not arguments.only:
            for _ in range(arguments.rounds):
                for name, one in _install(kubectl, files).items():
                    installed.setdefault(name, []).append(one)
    facts = (f"{arguments.databases:,} databases", f"{files.count:,} objects", f"{arguments.rounds} rounds")
    apply_table(written, files.count, facts).show(write=arguments.write)
    if readers:
        plan_table(read, facts).show(write=arguments.write)
    if installed:
        install_table(installed, facts[2:]).show(write=arguments.write)


if __name__ == "__main__":
    main()
