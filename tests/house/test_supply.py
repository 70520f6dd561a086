"""What planton is made of: locks by hash, a reason for each dependency, a bill of materials, an audit that can fail."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sandbox import _recipes
from scripts import audit

pytestmark = pytest.mark.house
ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<release>[0-9][a-z0-9.]*)(?: ; [^\\\n;]+)?"
ENTRY = re.compile(PIN + r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
REASONS = (ROOT / "docs" / "dependencies.md").read_text()
BILL = json.loads((ROOT / "sbom" / "planton.cdx.json").read_text())
# What may stand beside software under Apache-2.0: permissive, or (MPL-2.0) asking for its own files only.
MAY = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0"}
TODAY = datetime.date(2030, 1, 31)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_line_of_a_lock_is_a_release_with_hashes(path: Path) -> None:
    text = path.read_text()
    assert "".join(found[0] for found in ENTRY.finditer(text)) == text
    assert ENTRY.search(text)


@pytest.mark.parametrize(
    "line",
    [
        "a==1.0\n",
        "a>=1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n",
        "a==1.0 \\\n    --hash=md5:" + "0" * 64 + "\n",
        "--index-url https://example.com/simple\n",
        "a @ https://example.com/a.whl \\\n    --hash=sha256:" + "0" * 64 + "\n",
    ],
)
def test_other_lines_are_seen(line: str) -> None:
    assert not ENTRY.fullmatch(line)


def named(requirements: list[Any]) -> set[str]:
    return {re.split(r"[<>=;\[ ]", one)[0].lower() for one in requirements if isinstance(one, str)}


def rows(title: str) -> set[str]:
    """The names in the first column of the tables below a title."""
    part = REASONS.split(f"\n{title}\n")[1].split("\n#")[0]
    cells = re.findall(r"^\| ([^|]+) \| [^|]*[^| -][^|]* \|", part, re.MULTILINE)
    return {one.split()[0].lower() for cell in cells for one in cell.split(", ")} - {"package", "module"}


def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    groups = PROJECT["dependency-groups"]
    assert rows("## At run time") == named(PROJECT["project"]["dependencies"])
    for extra, requirements in extras.items():
        assert rows(f"### The extra `{extra}`") == named(requirements)
    development = set().union(*(named(requirements) for requirements in groups.values()))
    modules = {one for one in rows("## For development") if "/" in one}
    assert rows("## For development") - modules == development
    # Nothing of a group is there under another name, or twice with other bounds of its own reason.
    assert named(PROJECT["build-system"]["requires"]) <= development


def test_every_program_that_is_built_has_its_reason() -> None:
    recipes = [one for one in vars(_recipes).values() if isinstance(one, _recipes.Recipe)]
    folders = {path.name for path in (ROOT / "sandbox" / "modules").iterdir()}
    assert {one.folder for one in recipes} == folders
    found: dict[str, tuple[str, str]] = {}
    for module, version, where in re.findall(r"^\| (\S+/\S+) (v\S+) \| ([a-z, ]+) \|", REASONS, re.MULTILINE):
        found |= dict.fromkeys(where.split(", "), (module, version))
    assert found.keys() == folders
    for one in recipes:
        module, version = found[one.folder]
        assert version == one.version
        assert one.package.startswith(module)
        assert f"\t{module} {version}" in (ROOT / "sandbox" / "modules" / one.folder / "go.mod").read_text()


def test_module_files_have_their_sums_and_replace_nothing() -> None:
    for folder in (ROOT / "sandbox" / "modules").iterdir():
        sums = (folder / "go.sum").read_text().splitlines()
        assert sums
        assert all(re.fullmatch(r"\S+ \S+ h1:[A-Za-z0-9+/]{43}=", line) for line in sums), folder.name
        text = (folder / "go.mod").read_text()
        # Kubernetes' parts name each other by folders, so that they are replaced by releases of their own.
        for line in re.findall(r"=> (.*)", text):
            assert re.fullmatch(r"\S+ v[0-9]\S*", line), f"{folder.name}: {line}"


def test_the_bill_of_materials_is_that_of_the_lock() -> None:
    locked = {}
    for found in ENTRY.finditer((ROOT / "requirements" / "runtime.txt").read_text()):
        locked[found["name"], found["release"]] = sorted(re.findall(r"sha256:([0-9a-f]{64})", found[0]))
    listed = {}
    for one in BILL["components"]:
        assert one["purl"] == one["bom-ref"] == f"pkg:pypi/{one['name']}@{one['version']}"
        (files,) = one["externalReferences"]
        assert {each["alg"] for each in files["hashes"]} == {"SHA-256"}
        listed[one["name"], one["version"]] = sorted(each["content"] for each in files["hashes"])
    assert listed == locked, "run `make sbom` and commit it"
    # Neither when nor where it was made.
    assert "serialNumber" not in BILL
    assert "timestamp" not in BILL["metadata"]
    assert str(ROOT) not in json.dumps(BILL)


def test_the_bill_of_materials_says_who_needs_whom() -> None:
    purls = {one["purl"] for one in BILL["components"]}
    planton = f"pkg:pypi/planton@{PROJECT['project']['version']}"
    needs = {one["ref"]: set(one["dependsOn"]) for one in BILL["dependencies"]}
    assert needs.keys() == purls | {planton}
    wanted = named(PROJECT["project"]["dependencies"])
    wanted |= named([one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra])
    assert {re.split("[/@]", purl)[-2] for purl in needs[planton]} == wanted
    # Everything is there because of somebody.
    reached: set[str] = set()
    following = [planton]
    while following:
        reached |= (more := needs[following.pop()] - reached)
        following += more
    assert reached == purls


def licenses(component: dict[str, Any]) -> set[str]:
    names = set()
    for one in component["licenses"]:
        names |= (
            set(re.split(r" (?:AND|OR|WITH) ", one["expression"])) if "expression" in one else {one["license"]["id"]}
        )
    return names


def test_all_licenses_may_stand_beside_ours() -> None:
    assert all(licenses(one) for one in BILL["components"])
    assert {one["name"]: licenses(one) for one in BILL["components"] if not licenses(one) <= MAY} == {}


def test_the_audit_passes_today_and_says_of_which_day_it_is() -> None:
    done = subprocess.run([sys.executable, "-m", "scripts.audit"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    date, _, _ = audit.read_extract(audit.EXTRACT)
    assert str(date) in done.stdout
    # The day stands in the document, too.
    assert f"**That is {date}" in REASONS


def test_the_audit_fails_for_a_release_that_is_known_to_be_weak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "requirements", tmp_path, dirs_exist_ok=True)
    lock = tmp_path / "dev.txt"
    lock.write_text(re.sub(r"^pyyaml==\S+", "pyyaml==5.3.1", lock.read_text(), flags=re.MULTILINE))
    for name, path in (("LOCKS", ""), ("EXTRACT", "advisories.json"), ("ACCEPTED", "accepted.toml")):
        monkeypatch.setattr(audit, name, tmp_path / path)
    monkeypatch.setattr(sys, "argv", ["audit"])
    assert audit.main() == 1
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "pyyaml" in one]
    assert "pyyaml 5.3.1 in dev.txt: PYSEC-2021-142 (CVE-2020-14343" in line

    entry = '[[accepted]]\nid = "CVE-2020-14343"\npackage = "pyyaml"\nreason = "Events only."\nuntil = 9999-01-31\n'
    (tmp_path / "accepted.toml").write_text(entry)
    assert audit.main() == 0
    assert "accepted until 9999-01-31: Events only." in capsys.readouterr().out
    (tmp_path / "accepted.toml").write_text(entry.replace("9999", "2020"))
    assert audit.main() == 1
    assert "was accepted until 2020-01-31" in capsys.readouterr().out
    (tmp_path / "accepted.toml").write_text(entry.replace("Events only.", " "))
    with pytest.raises(SystemExit, match="reason"):
        audit.main()


def test_the_audit_says_which_packages_it_knows_nothing_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "requirements", tmp_path, dirs_exist_ok=True)
    (tmp_path / "more.txt").write_text("brand-new==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(audit, "LOCKS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["audit"])
    assert audit.main() == 0
    assert "brand-new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("events", "hit", "missed"),
    [
        ([{"introduced": "0"}, {"fixed": "5.4"}], ["3.13", "5.4b1", "5.3.1"], ["5.4", "6.0"]),
        (
            [{"introduced": "1.0"}, {"fixed": "1.2"}, {"introduced": "2.0"}],
            ["1.0", "1.1", "2.0", "9"],
            ["0.9", "1.2", "1.10"],
        ),
        ([{"introduced": "0"}], ["0.1", "99"], []),
        # Up to a release that still has it: those are counted up.
        ([{"introduced": "0"}, {"last_affected": "1.1"}], ["1.0", "1.1"], ["1.2"]),
    ],
)
def test_ranges_are_read_as_the_database_means_them(events: list[Any], hit: list[str], missed: list[str]) -> None:
    affected = {
        "package": {"name": "Some_Package", "ecosystem": "PyPI"},
        "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}, {"type": "ECOSYSTEM", "events": events}],
        "versions": ["no release", *hit],
    }
    (one,) = audit.extract([{"id": "X-1", "aliases": ["Y-1"], "affected": [affected]}], frozenset({"some-package"}))
    read = audit.Advisory(
        one["id"], tuple(one["aliases"]), one["package"], tuple(map(tuple, one["ranges"])), tuple(one["releases"])
    )
    assert [release for release in (*hit, *missed) if read.hits(release)] == hit
    pinned = {("some-package", release): ["dev.txt"] for release in (*hit, *missed)}
    assert Counter(one.release for one in audit.compare(pinned, [read])) == Counter(hit)


def test_what_was_withdrawn_is_no_finding() -> None:
    affected = {"package": {"name": "a"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}
    record = {"id": "X-1", "affected": [affected]}
    assert audit.extract([record], frozenset({"a"}))
    assert not audit.extract([{**record, "withdrawn": "2024-01-01T00:00:00Z"}], frozenset({"a"}))
