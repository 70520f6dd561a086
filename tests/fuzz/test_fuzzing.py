"""A bounded run of each target: the same inputs each time. Longer ones by hand: `make fuzz`."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import platform
import sys
import time
from pathlib import Path

import pytest

from planton.cluster.api.genuine import is_object
from planton.cluster.api.resources import key_of
from planton.errors import ManifestError, Problem
from tests.faults.observed import Observed, times
from tests.faults.observed import observed as observed
from tests.fuzz import archive, oracle
from tests.fuzz.archive import ArchiveTarget
from tests.fuzz.cluster import ClusterTarget
from tests.fuzz.run import fuzz
from tests.fuzz.targets import target_of

# As in pyproject.toml, group fuzz.
HAS_WHEEL = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
INPUTS = {"manifests": 1200, "values": 1000, "archive": 250, "wal": 400, "cluster": 250}
ROWS = {
    "manifests": "fuzzing of the loader",
    "values": "fuzzing of the readers of short texts",
    "archive": "fuzzing of the readers of an archive",
    "wal": "fuzzing of the readers of WAL",
    "cluster": "fuzzing of the readers of a cluster",
}


@pytest.mark.slow
@pytest.mark.house
@pytest.mark.skipif(
    not HAS_WHEEL and importlib.util.find_spec("atheris") is None,
    reason="atheris has no wheel here (docs/dependencies.md)",
)
@pytest.mark.parametrize("name", INPUTS)
def test_nothing_is_found_in(name: str, tmp_path: Path, observed: Observed) -> None:
    ran = fuzz(name, tmp_path / name, seed=1, runs=times(INPUTS[name]))
    assert not ran.finding, ran.finding
    assert ran.inputs >= INPUTS[name]
    # Without instruments it would go nowhere and find nothing.
    assert ran.edges > 100, ran
    observed(
        ROWS[name],
        f"{ran.inputs:,} inputs, guided by coverage over {ran.edges:,} edges, {ran.kept:,} of them kept: no error but "
        f"planton's own, none slower than {oracle.SECONDS * 1000:g} ms and {oracle.SECONDS_A_BYTE * 1e6:g} µs a byte "
        f"or larger than {oracle.BYTES >> 20} MiB and {oracle.BYTES_A_BYTE} bytes a byte, no secret shown",
    )


@pytest.mark.parametrize("name", INPUTS)
def test_every_seed_is_taken(name: str) -> None:
    """Also where there is no atheris: what fuzzing begins with."""
    target = target_of(name)
    seeds = [*target.seeds()]
    assert seeds
    for seed in seeds:
        oracle.check_texts(target.run(seed))


def test_a_cluster_answers_as_a_server_does() -> None:
    """Else its answers would be taken for somebody else's, and asked for again."""
    for seed in ClusterTarget().seeds():
        for one in json.loads(seed):
            assert is_object(key_of(one))(one), one["metadata"]


class TestOracle:
    """What would be found."""

    def test_an_error_that_is_not_ours(self) -> None:
        with pytest.raises(KeyError):
            oracle.judge(lambda data: oracle.attempt(lambda: [os.environ[data.decode()]]), b"NO_SUCH_VARIABLE")

    @pytest.mark.parametrize("mark", oracle.MARKERS)
    def test_a_secret(self, mark: str) -> None:
        with pytest.raises(oracle.Finding, match="a secret is shown"):
            oracle.judge(lambda data: [data.decode()], f"no such key: {mark}".encode())

    def test_a_secret_behind_an_error(self) -> None:
        def fail() -> list[str]:
            try:
                int(oracle.SECRET_KEY)
            except ValueError:
                raise ManifestError([Problem("is no number")])  # noqa: B904
            return []

        with pytest.raises(oracle.Finding, match="a secret is shown"):
            oracle.check_texts(oracle.attempt(fail))

    def test_a_long_time(self) -> None:
        def work(data: bytes) -> list[str]:
            begin = time.process_time()
            while time.process_time() - begin < 2 * oracle.SECONDS:
                pass
            return []

        with pytest.raises(oracle.Finding, match="bytes took"):
            oracle.judge(work, b"x")

    def test_another_result_the_second_time(self) -> None:
        numbers = itertools.count()
        with pytest.raises(oracle.Finding, match="something else"):
            oracle.judge(lambda data: [str(next(numbers))], b"x", twice=True)

    @pytest.mark.parametrize("character", ["\x1b", "\x9b", "\u202e", "\u2028"])
    def test_what_a_terminal_acts_on(self, character: str) -> None:
        with pytest.raises(oracle.Finding, match="what is printed holds"):
            oracle.check_screen(f"a\n{character}")

    @pytest.mark.parametrize("name", ["Hostname", "DeltaFrom", "UserData", "DataDir"])
    def test_a_secret_in_an_archive(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a host or a backup is named it is in the open; whatever else shows it, shows a secret."""
        target = ArchiveTarget()
        key = "basebackups_005/base_000000010000000000000002_backup_stop_sentinel.json"
        sentinel = {"LSN": 33554472, "FinishLSN": 33554688, name: f"it is {oracle.SECRET_KEY}"}
        data = json.dumps({key: [1795334410, json.dumps(sentinel)]}).encode()
        assert target.run(data)
        # A reader that shows all of a sentinel.
        monkeypatch.setattr(archive, "_printed", lambda catalogue: json.dumps(sentinel))
        with contextlib.nullcontext() if name in ("Hostname", "DeltaFrom") else pytest.raises(oracle.Finding):
            target.run(data)
