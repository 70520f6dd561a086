"""Makes sbom/planton.cdx.json: what `pip install 'planton[encryption]'` brings, as a CycloneDX bill of materials.

Two views of requirements/runtime.txt by the same tool are put together. The lock knows the hashes of every file, and an
environment that holds nothing but the lock knows licences and who needs whom. What is there neither by chance nor by
time: the same lock gives the same file. The wheel carries it (PEP 770, .dist-info/sboms/).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "runtime.txt"
BILL = ROOT / "sbom" / "planton.cdx.json"
UV = Path(sys.executable).parent / "uv"
# Both beside .venv: the tools' own dependencies would otherwise be tested with, or taken for planton's.
TOOLS = ROOT / ".venv-supply"
INSTALLED = ROOT / ".venv-runtime"

# Where a package's metadata says it in words only; read in the licence file that it ships.
LICENSES = {"protobuf": "BSD-3-Clause"}
# Trove classifiers that say what an SPDX name says.
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

_Bill = dict[str, Any]


def environment(folder: Path, lock: Path) -> Path:
    """Makes a virtual environment of exactly what a lock holds.

    Args:
        folder: Where it is, or shall be.
        lock: The lock, with hashes.

    Returns:
        The folder of its programs.

    Raises:
        CalledProcessError: A package could not be had, or is not the one of the lock.
    """
    if not (folder / "bin" / "python").exists():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    command = [str(UV), "pip", "sync", "--quiet", "--require-hashes", str(lock)]
    subprocess.run(command, check=True, env={**os.environ, "VIRTUAL_ENV": str(folder)})
    return folder / "bin"


def _view(tools: Path, *arguments: str) -> _Bill:
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--spec-version", "1.6"]
    done = subprocess.run(
        [str(tools / "python"), "-W", "ignore", "-m", "cyclonedx_py", *arguments, *options],
        check=True,
        stdout=subprocess.PIPE,
    )
    found: _Bill = json.loads(done.stdout)
    return found


def _licenses(component: _Bill) -> list[_Bill]:
    """Gives the licences by their SPDX names, each once."""
    found = []
    for one in component.get("licenses", ()):
        if "expression" in one:
            return [one]
        name = one["license"].get("id") or CLASSIFIERS.get(one["license"]["name"])
        if name is None:
            raise SystemExit(f"{component['name']}: no SPDX name is known for: {one['license']['name'][:100]}")
        found.append(name)
    if not found:
        if component["name"] not in LICENSES:
            raise SystemExit(f"{component['name']} does not name its licence: read it, and add it to scripts/sbom.py")
        found = [LICENSES[component["name"]]]
    # Of several it is left open whether all hold or one may be chosen; the list keeps it open.
    return [{"license": {"id": name}} for name in dict.fromkeys(found)]


def put_together(locked: _Bill, installed: _Bill) -> _Bill:
    """Puts the view of the lock and that of the environment together.

    Args:
        locked: The bill that was made of the lock.
        installed: The bill that was made of the environment.

    Returns:
        The whole bill.

    Raises:
        SystemExit: One view has a package that the other has not, or a licence is not known.
    """
    known = {one["purl"]: one for one in installed["components"]}
    hashes: dict[str, list[_Bill]] = {}
    for one in locked["components"]:
        (files,) = [reference for reference in one["externalReferences"] if reference["type"] == "distribution"]
        hashes[one["purl"]] = files["hashes"]
    if different := sorted(known.keys() ^ hashes.keys()):
        raise SystemExit(f"the lock and what it installs are not the same here: {', '.join(different)}")
    references = {one["bom-ref"]: one["purl"] for one in installed["components"]}
    references["root-component"] = f"pkg:pypi/planton@{installed['metadata']['component']['version']}"
    components = [
        {
            "type": one["type"],
            "bom-ref": purl,
            "name": purl.removeprefix("pkg:pypi/").split("@")[0],
            "version": one["version"],
            "purl": purl,
            "description": one.get("description", ""),
            "licenses": _licenses(one),
            # Of every file that the lock lets in: which one it is depends on the machine.
            "externalReferences": [{"type": "distribution", "url": purl, "hashes": hashes[purl]}],
        }
        for purl, one in sorted(known.items())
    ]
    root = installed["metadata"]["component"]
    planton = references["root-component"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                **{key: root[key] for key in ("type", "name", "version", "description")},
                "bom-ref": planton,
                "purl": planton,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
            "tools": {
                "components": [
                    {key: one[key] for key in ("type", "name", "version")}
                    for one in installed["metadata"]["tools"]["components"]
                ]
            },
            "properties": [{"name": "cdx:reproducible", "value": "true"}],
        },
        "components": components,
        "dependencies": sorted(
            (
                {
                    "ref": references[one["ref"]],
                    "dependsOn": sorted(references[ref] for ref in one.get("dependsOn", ())),
                }
                for one in installed["dependencies"]
            ),
            key=lambda one: str(one["ref"]),
        ),
    }


def main() -> int:
    """Runs the command.

    Returns:
        The exit code.
    """
    tools = environment(TOOLS, ROOT / "requirements" / "supply.txt")
    place = environment(INSTALLED, LOCK)
    bill = put_together(_view(tools, "requirements", str(LOCK)), _view(tools, "environment", str(place / "python")))
    text = json.dumps(bill, indent=1, sort_keys=True) + "\n"
    # The tool's own library checks what was put together by CycloneDX's schema.
    check = (
        "import sys; from cyclonedx.schema import SchemaVersion; from cyclonedx.validation.json import"
        " JsonStrictValidator; wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read());"
        " sys.exit(wrong and str(wrong))"
    )
    subprocess.run([str(tools / "python"), "-c", check], input=text, text=True, check=True)
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(text)
    print(f"{BILL.relative_to(ROOT)}: {len(bill['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
