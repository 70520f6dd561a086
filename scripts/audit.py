"""Compares every release that a lock names with published advisories: `audit.py [--online | --update CLONE]`.

Without an option it needs no network, so CI runs it: it looks into requirements/advisories.json, an extract of the
Python Packaging Authority's advisory database, and says of which day that is. What was published later it cannot know:
`--online` (`make audit`) asks OSV through pip-audit, and says so where OSV does not answer. `--update` makes the
extract anew out of a clone of the database.

A finding fails unless requirements/accepted.toml has it, with a reason and a last day.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
EXTRACT = LOCKS / "advisories.json"
ACCEPTED = LOCKS / "accepted.toml"
_PIN = re.compile(r"^([a-z0-9-]+)==([^ ;\\]+)", re.MULTILINE)
_SECONDS = 300.0

Pins = Mapping[tuple[str, str], list[str]]
"""Package and release -> the locks that name it."""


@dataclasses.dataclass(frozen=True)
class Advisory:
    """What is known of one weakness of one package.

    Attributes:
        name: Its name in the database.
        aliases: Its names elsewhere.
        package: The package, by its normalised name.
        ranges: Release with which it came, release with which it went; None where it has not gone.
        releases: Releases that have it, where the database counts them up instead.
    """

    name: str
    aliases: tuple[str, ...]
    package: str
    ranges: tuple[tuple[str, str | None], ...]
    releases: tuple[str, ...]

    def hits(self, release: str) -> bool:
        """Tells whether a release has it.

        Args:
            release: The release.

        Returns:
            Whether it has.
        """
        if release in self.releases:
            return True
        there = Version(release)
        return any(Version(first) <= there and (end is None or there < Version(end)) for first, end in self.ranges)


@dataclasses.dataclass(frozen=True)
class Finding:
    """A weakness of a release that a lock names."""

    package: str
    release: str
    names: tuple[str, ...]
    locks: tuple[str, ...]

    def __str__(self) -> str:
        """Gives the line that is shown."""
        others = f" ({', '.join(self.names[1:])})" if self.names[1:] else ""
        return f"{self.package} {self.release} in {', '.join(self.locks)}: {self.names[0]}{others}"


@dataclasses.dataclass(frozen=True)
class Acceptance:
    """A finding that somebody has looked at and lives with until a day."""

    name: str
    package: str
    reason: str
    until: datetime.date


def pins(folder: Path) -> dict[tuple[str, str], list[str]]:
    """Reads what the locks of a folder name.

    Args:
        folder: The folder.

    Returns:
        Package and release -> names of the locks.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(folder.glob("*.txt")):
        for name, release in _PIN.findall(path.read_text()):
            found.setdefault((name, release), []).append(path.name)
    return found


def read_extract(path: Path) -> tuple[datetime.date, frozenset[str], list[Advisory]]:
    """Reads the extract.

    Args:
        path: Its file.

    Returns:
        The day of the database, the packages that were looked for, and the advisories.
    """
    content = json.loads(path.read_text())
    advisories = [
        Advisory(
            name=one["id"],
            aliases=tuple(one["aliases"]),
            package=one["package"],
            ranges=tuple((first, end) for first, end in one["ranges"]),
            releases=tuple(one["releases"]),
        )
        for one in content["advisories"]
    ]
    return datetime.date.fromisoformat(content["date"]), frozenset(content["packages"]), advisories


def compare(named: Pins, advisories: Iterable[Advisory]) -> list[Finding]:
    """Finds the releases with a known weakness.

    Args:
        named: What the locks name.
        advisories: What is known.

    Returns:
        The findings, in the order of the packages.
    """
    by_package: dict[str, list[Advisory]] = {}
    for one in advisories:
        by_package.setdefault(one.package, []).append(one)
    return [
        Finding(package, release, (one.name, *one.aliases), tuple(locks))
        for (package, release), locks in sorted(named.items())
        for one in by_package.get(package, ())
        if one.hits(release)
    ]


def read_accepted(path: Path) -> list[Acceptance]:
    """Reads what is lived with.

    Args:
        path: The file: tables `[[accepted]]` of `id`, `package`, `reason` and `until`.

    Returns:
        The entries.

    Raises:
        SystemExit: An entry has no reason, or lacks something else.
    """
    found = []
    for one in tomllib.loads(path.read_text()).get("accepted", ()):
        if set(one) != {"id", "package", "reason", "until"} or not str(one["reason"]).strip():
            raise SystemExit(f"audit: {path.name}: an entry needs id, package, reason and until (a date), and no more")
        if type(one["until"]) is not datetime.date:
            raise SystemExit(f"audit: {path.name}: {one['id']}: until is a date without quotes, such as 2030-01-31")
        found.append(Acceptance(one["id"], one["package"], one["reason"], one["until"]))
    return found


def verdict(
    findings: Iterable[Finding], accepted: Sequence[Acceptance], today: datetime.date
) -> tuple[list[str], bool]:
    """Says what is to be said of findings.

    Args:
        findings: The findings.
        accepted: What is lived with.
        today: The day.

    Returns:
        A line for each, and whether all are lived with.
    """
    lines, good = [], True
    for finding in findings:
        entry = next((one for one in accepted if one.package == finding.package and one.name in finding.names), None)
        if entry is None:
            good = False
            lines.append(f"{finding}: take a release without it (make lock), or say why not in {ACCEPTED.name}")
        elif entry.until < today:
            good = False
            lines.append(f"{finding}: was accepted until {entry.until}; look again: {entry.reason}")
        else:
            lines.append(f"{finding}: accepted until {entry.until}: {entry.reason}")
    return lines, good


def _ranges(affected: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    for one in affected.get("ranges", ()):
        if one["type"] == "GIT":
            continue
        first: str | None = None
        for event in one["events"]:
            if "introduced" in event:
                first = str(event["introduced"])
            elif "fixed" in event and first is not None:
                yield first, str(event["fixed"])
                first = None
        if first is not None and not any("last_affected" in event for event in one["events"]):
            yield first, None


def extract(records: Iterable[Mapping[str, Any]], wanted: frozenset[str]) -> list[dict[str, Any]]:
    """Takes out of the database what concerns some packages.

    Args:
        records: Records in the form of OSV.
        wanted: Names of packages.

    Returns:
        What the extract holds of them.
    """
    found = []
    for record in records:
        for affected in record.get("affected", ()) if "withdrawn" not in record else ():
            package = re.sub(r"[-_.]+", "-", affected["package"]["name"]).lower()
            if package not in wanted:
                continue
            ranges = list(_ranges(affected))
            one = Advisory(record["id"], (), package, tuple(ranges), ())
            # The list of releases says mostly what the ranges say.
            more = [str(release) for release in affected.get("versions", ()) if not _in_ranges(one, str(release))]
            found.append(
                {
                    "id": record["id"],
                    "aliases": sorted(record.get("aliases", ())),
                    "package": package,
                    "ranges": ranges,
                    "releases": more,
                }
            )
    return sorted(found, key=lambda one: (str(one["package"]), str(one["id"])))


def _in_ranges(advisory: Advisory, release: str) -> bool:
    try:
        return advisory.hits(release)
    except InvalidVersion:
        # Of a time before releases had a form: no lock can name it.
        return True


def _update(clone: str) -> int:
    import yaml

    git = ["git", "-C", clone]
    commit, date = subprocess.run(
        [*git, "log", "-1", "--format=%H %cs"], check=True, capture_output=True, text=True
    ).stdout.split()
    wanted = frozenset(name for name, _ in pins(LOCKS))
    listed = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", "HEAD", "vulns"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    chosen = [path for path in listed if re.sub(r"[-_.]+", "-", path.split("/")[1]).lower() in wanted]
    texts = [
        subprocess.run([*git, "show", f"HEAD:{path}"], check=True, capture_output=True, text=True).stdout
        for path in chosen
    ]
    content = {
        "source": "PyPA advisory database, github.com/pypa/advisory-database, CC-BY-4.0; which releases, and no more",
        "commit": commit,
        "date": date,
        "packages": sorted(wanted),
        "advisories": extract((yaml.safe_load(text) for text in texts), wanted),
    }
    EXTRACT.write_text(json.dumps(content, indent=1) + "\n")
    print(f"audit: {EXTRACT.name}: {len(content['advisories'])} advisories of {date}")
    return 0


def _online(named: Pins, *options: str) -> list[Finding] | str:
    """Asks OSV through pip-audit; gives why it could not where it could not."""
    from scripts.sbom import TOOLS, environment

    try:
        tools = environment(TOOLS, LOCKS / "supply.txt")
    except subprocess.CalledProcessError:
        return "pip-audit could not be installed"
    found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for lock in sorted({lock for locks in named.values() for lock in locks}):
        command = [str(tools / "python"), "-m", "pip_audit", "--requirement", str(LOCKS / lock), "--require-hashes"]
        command += ["--disable-pip", "--vulnerability-service", "osv", "--format", "json", "--progress-spinner", "off"]
        try:
            done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=_SECONDS)
            answer = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            return f"pip-audit took more than {_SECONDS:.0f} s"
        except ValueError:
            return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:200]
        for one in answer["dependencies"]:
            for weakness in one.get("vulns", ()):
                key = (one["name"], one["version"])
                names = (weakness["id"], *weakness["aliases"])
                if names not in found.setdefault(key, []):
                    found[key].append(names)
    return [
        Finding(*key, names, tuple(named.get(key, ()))) for key, several in sorted(found.items()) for names in several
    ]


def main() -> int:
    """Runs the command.

    Returns:
        0 when nothing was found but what is accepted, 1 for a finding, 2 when OSV was to be asked and could not be.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--online", action="store_true", help="ask OSV, too")
    choice.add_argument("--update", metavar="CLONE", help="make the extract anew out of a clone of the database")
    arguments = parser.parse_args()
    if arguments.update:
        return _update(arguments.update)

    named = pins(LOCKS)
    today = datetime.datetime.now(datetime.UTC).date()
    date, looked_for, advisories = read_extract(EXTRACT)
    findings = compare(named, advisories)
    print(
        f"audit: {len(named)} releases in {LOCKS.name}/ against the PyPA's advisories until {date}"
        f" ({(today - date).days} days ago); later ones: make audit, where OSV can be reached"
    )
    if unknown := sorted({name for name, _ in named} - looked_for):
        print(f"audit: not in the extract, which is older than they are here: {', '.join(unknown)}")
    answer: list[Finding] | str | None = None
    if arguments.online:
        answer = _online(named)
        if isinstance(answer, str):
            print(f"audit: NOTHING newer than that day was looked at, since OSV could not be asked: {answer}")
        else:
            print(f"audit: OSV answered, {today}")
            seen = {(one.package, one.release, name) for one in findings for name in one.names}
            findings += [
                one for one in answer if not any((one.package, one.release, name) in seen for name in one.names)
            ]
    lines, good = verdict(findings, read_accepted(ACCEPTED), today)
    for line in lines:
        print(f"audit: {line}")
    if not good:
        return 1
    return 2 if isinstance(answer, str) else 0


if __name__ == "__main__":
    sys.exit(main())
