"""How fast manifests are loaded, validated, rendered and written, and how time and memory grow with their number.

Databases differ in name and prefix, as those of one platform do; what it costs when no two of them have another setting
in common, either, stands in a row of its own. The floor is what PyYAML's parser in C takes for the same texts, with an
event for every key and value and nothing made of them. Each measurement is a process of its own, which has read one
manifest before, so that imports are not counted; the command is measured as a whole process. Run it by `make bench`, or
with other numbers:

    python -m benchmarks.rendering --sizes 100 1000 10000 --times 3
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import PAGE, Table, peak_memory

PICTURE = PAGE.with_name("performance-rendering.svg")
SIZES = (100, 1_000, 10_000, 100_000)
_FILE = 25_000
_MANY = 100_000
_UNLIKE = 10_000
_OPERATOR = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresOperatorKubernetes
metadata:
  name: postgres-operator
spec:
  backup_config:
    r2_config:
      cloudflare_account_id: "0123456789abcdef0123456789abcdef"
      bucket_name: postgres-backups
      access_key_id: "BENCHBENCHBENCH"
      secret_access_key: "bench-secret-key"
    s3_prefix_template: "backups/$(SCOPE)/$(PGVERSION)"
    backup_schedule: "0 2 * * *"
"""
_DATABASE = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: db-{number:06d}
spec:
  container:
    replicas: 2
    disk_size: "10Gi"
  backup_config:
    s3_prefix: "/custom/path-{number}/$(PGVERSION)"
    backup_schedule: "0 3 * * *"
    enable_backup: true
    enable_restore: true
    enable_clone: true
"""
_OTHER = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: db-{number:06d}
  labels:
    team: team-{number}
spec:
  container:
    replicas: 2
    disk_size: "{size}Mi"
  backup_config:
    s3_prefix: "/custom/path-{number}/$(PGVERSION)"
    backup_schedule: "{minute} {hour} * * *"
    enable_backup: true
    enable_restore: true
    enable_clone: true
"""


@dataclass(frozen=True)
class Row:
    """What was measured of one number of manifests, each the middle of its runs.

    Attributes:
        count: Manifests, one operator among them.
        is_unlike: Whether no two databases have the same settings.
        objects: Kubernetes objects that they become.
        events: Seconds for bare events.
        load: Seconds to load and validate.
        render: Seconds to render.
        yaml: Seconds to write the objects as YAML.
        mebibytes: The most memory of a whole process that loads and renders.
        command: Seconds of `planton render -f` of the folder, with its start.
    """

    count: int
    is_unlike: bool
    objects: int
    events: float
    load: float
    render: float
    yaml: float
    mebibytes: float
    command: float

    @property
    def seconds(self) -> float:
        """To load, validate and render."""
        return self.load + self.render


def write(folder: Path, count: int, *, unlike: bool = False) -> None:
    """Writes manifests: one operator, and databases with an archive of their own each, in files below the limit.

    Args:
        folder: Where to.
        count: Their number.
        unlike: Whether each has another size, other labels and, as far as there are minutes, another schedule.
    """
    text = _OTHER if unlike else _DATABASE
    texts = [_OPERATOR]
    for number in range(count - 1):
        texts.append(text.format(number=number, size=10_240 + number, minute=number % 60, hour=number // 60 % 24))
    for start in range(0, count, _FILE):
        text = "---\n".join(texts[start : start + _FILE])
        (folder / f"{start:06d}.yaml").write_text(text, encoding="utf-8")


def measure(what: str, folder: Path) -> dict[str, float]:
    """Does it once, in this process.

    Args:
        what: `events`, `objects` or `yaml`.
        folder: The manifests.

    Returns:
        Seconds of each step, the process' most memory in MiB, and how much there was.
    """
    return _events(folder) if what == "events" else _objects(folder, writes=what == "yaml")


def _events(folder: Path) -> dict[str, float]:
    from yaml._yaml import CParser
    from yaml.events import StreamEndEvent

    seconds = 0.0
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8")
        begun = time.perf_counter()
        get = CParser(text).get_event
        while type(get()) is not StreamEndEvent:
            pass
        seconds += time.perf_counter() - begun
    return {"events": seconds}


def _objects(folder: Path, *, writes: bool) -> dict[str, float]:
    import planton

    planton.render(planton.loads(f"{_OPERATOR}---\n{_DATABASE.format(number=0)}"))
    begun = time.perf_counter()
    manifests = planton.load(folder)
    loaded = time.perf_counter()
    rendering = planton.render(manifests)
    rendered = time.perf_counter()
    found = {"load": loaded - begun, "render": rendered - loaded, "mebibytes": peak_memory(), "objects": len(rendering)}
    if writes:
        from planton.yaml_writer import parts

        begun = time.perf_counter()
        size = sum(map(len, parts(rendering)))
        found["yaml"] = time.perf_counter() - begun
        assert size > 100 * len(rendering)
    return found


def _in_a_process(what: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.rendering", "--measure", what, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _command(folder: Path) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "planton", "render", "-f", str(folder)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def rows(sizes: Sequence[int], times: int) -> Iterator[Row]:
    """Measures.

    Args:
        sizes: Numbers of manifests.
        times: How often each is measured; what is very many, once.

    Yields:
        What was measured of each; last of one number of databases that have no settings in common.
    """
    for count, unlike in [*((count, False) for count in sizes), (min(_UNLIKE, max(sizes)), True)]:
        with tempfile.TemporaryDirectory(prefix="planton-bench-") as name:
            folder = Path(name)
            write(folder, count, unlike=unlike)
            runs: dict[str, list[float]] = {}
            # In turn, so that a slow moment of the machine meets all of them.
            for _ in range(1 if count >= _MANY else times):
                for what in ("events", "objects", "yaml"):
                    measured = _in_a_process(what, folder)
                    if what == "yaml":
                        measured = {"yaml": measured["yaml"]}
                    for step, value in measured.items():
                        runs.setdefault(step, []).append(value)
                runs.setdefault("command", []).append(_command(folder))
        middle = {step: statistics.median(values) for step, values in runs.items()}
        yield Row(count, unlike, int(middle.pop("objects")), **middle)


def table(measured: Sequence[Row], times: int) -> Table:
    """Makes the table.

    Args:
        measured: What was measured.
        times: How often.

    Returns:
        The table.
    """
    from importlib.metadata import version

    head = (
        "manifests",
        "bare events",
        "load and validate",
        "render",
        "all of it",
        "to the floor",
        "memory",
        "objects as YAML",
        "`planton render -f`",
    )
    lines = [
        [
            f"{one.count:,}" + (", no two alike" if one.is_unlike else ""),
            f"{one.count / one.events:,.0f} a second",
            f"{one.count / one.load:,.0f} a second",
            f"{one.count / one.render:,.0f} a second",
            f"**{one.count / one.seconds:,.0f} a second**",
            f"{one.seconds / one.events:.2f}",
            f"{one.mebibytes:.0f} MiB",
            f"{one.objects / one.yaml:,.0f} a second",
            f"{one.command:.2f} s ({one.objects / one.command:,.0f} objects a second)",
        ]
        for one in measured
    ]
    facts = (
        f"PyYAML {version('PyYAML')} with libyaml",
        f"protobuf {version('protobuf')}",
        f"{times} runs each ({_MANY:,} manifests: one), every one a process of its own",
    )
    return Table("rendering", head, lines, facts)


def picture(measured: Sequence[Row], path: Path = PICTURE) -> None:
    """Draws time and memory over the number of manifests, both scales logarithmic.

    Args:
        measured: What was measured.
        path: Where to.
    """
    import matplotlib

    matplotlib.use("svg")
    # The same file for the same numbers.
    matplotlib.rcParams["svg.hashsalt"] = "planton"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    measured = [one for one in measured if not one.is_unlike]
    counts = [one.count for one in measured]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    middle = measured[len(measured) // 2]
    slope = [one.count * middle.seconds / middle.count for one in measured]
    left.loglog(counts, slope, "--", color="0.6", label="slope 1")
    left.loglog(counts, [one.seconds for one in measured], "o-", label="load, validate and render")
    left.loglog(counts, [one.events for one in measured], "s-", label="bare events of PyYAML")
    left.set(xlabel="manifests", ylabel="seconds", title="Time")
    start = min(one.mebibytes for one in measured)
    last = measured[-1]
    grown = [(last.mebibytes - start) * one.count / last.count for one in measured]
    right.loglog(counts, grown, "--", color="0.6", label="slope 1")
    right.loglog(counts, [one.mebibytes for one in measured], "o-", label="whole process")
    right.set(xlabel="manifests", ylabel="MiB", title="Memory")
    for axes in (left, right):
        axes.grid(visible=True, which="major", color="0.9")
        axes.legend()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def main() -> None:
    """Measures, shows a table, and draws the curve."""
    parser = argparse.ArgumentParser(description="How fast manifests are loaded, validated, rendered and written.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of manifests")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument(
        "--write", action="store_true", help="write the table into docs/performance.md, and the picture"
    )
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, folder = arguments.measure
        print(json.dumps(measure(what, Path(folder))))
        return
    measured = list(rows(sorted(arguments.sizes), arguments.times))
    table(measured, arguments.times).show(write=arguments.write)
    if arguments.write:
        picture(measured)


if __name__ == "__main__":
    main()
