"""Archives that databases go on in, or come to by another way, with another key or through another store: pure."""

from __future__ import annotations

import pytest

from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, SECRET, Key
from planton.cluster.backups.archives import Archives
from planton.cluster.backups.encryption import (
    delta_refusals,
    encryption_refusals,
    former_secrets,
    resumed,
    with_encryption,
    written_with,
)
from planton.cluster.backups.recovery_window import recovery_window
from planton.translate.archive import ArchiveIdentity
from planton.translate.archive_record import DELETED, MOVED, STOPPED, TAKEN, LeftArchive, elsewhere, read_record
from tests.cluster.objects import Object, config_map, secret
from tests.cluster.test_effects import KEY, OFF, ON, archives, cr
from tests.cluster.test_effects_backups import STORAGE, with_key

HERE, THERE = {**ON, "AWS_ENDPOINT": "https://a"}, {**ON, "AWS_ENDPOINT": "https://b"}
SETTINGS = Key(CONFIG_MAP, "op", "postgres-operator")
TOLD = config_map("op", "postgres-operator", pod_environment_secret=STORAGE)
SOURCE, COPY = Key(SECRET, "op", STORAGE), Key(SECRET, "a", STORAGE)
GENERATION = "PLANTON_CREDENTIALS_GENERATION"


@pytest.mark.parametrize(
    ("before", "after", "old", "new", "first"),
    [
        # It keeps the old store, which the operator leaves: never the operator's new one in between.
        (HERE, THERE, {}, HERE, True),
        # It gives up a store of its own, which the operator leaves: never the operator's old one.
        (HERE, THERE, {**ON, "AWS_ENDPOINT": "https://c"}, {}, False),
        # It goes where the operator was going anyway.
        (HERE, THERE, HERE, {}, False),
        # The same bucket by another way: all that is needed to reach the store comes together.
        ({**HERE, "AWS_REGION": "x"}, {**HERE, "AWS_REGION": "y"}, {}, {**HERE, "AWS_REGION": "x"}, True),
        # Without a store of its own the region is the operator's affair.
        ({**HERE, "AWS_REGION": "x"}, {**HERE, "AWS_REGION": "y"}, {}, {"BACKUP_SCHEDULE": "y"}, False),
    ],
)
def test_no_database_passes_through_another_store(
    before: dict[str, str], after: dict[str, str], old: dict[str, str], new: dict[str, str], first: bool
) -> None:
    assert archives(before, after, cr(old), cr(new)).goes_first(KEY) is first


def quiet(old: Object, new: Object) -> tuple[Archives, dict[Key, Object], dict[Key, Object]]:
    """The operator's backups go on again."""
    made = Archives(
        {"USE_WALG_BACKUP": "false"},
        ON,
        {KEY: cr()},
        settings=SETTINGS,
        namespace="op",
        secret_before=frozenset(old["data"]),
        secret_after=frozenset(new["data"]),
        secret_name_before=STORAGE,
        secret_name_after=STORAGE,
    )
    return made, {SOURCE: new, SETTINGS: TOLD}, {SOURCE: old, SETTINGS: TOLD}


@pytest.mark.parametrize(
    ("old", "new", "written", "refused"),
    [
        (with_key("k1"), with_key("k1"), ("libsodium", f"{STORAGE}/0"), ""),
        (with_key("k1"), with_key("k2"), ("libsodium", f"{STORAGE}/0"), "would be encrypted in another way"),
        (with_key("k1"), with_key("k1"), ("libsodium", f"{STORAGE}/1"), "cannot be compared any more"),
        (with_key("k1"), with_key("k1"), ("libsodium", "another/0"), "cannot be compared any more"),
        (with_key("k1"), with_key("k1"), ("libsodium", ""), "cannot be compared any more"),
        (with_key("k1"), with_key("k1"), ("libsodium hex", f"{STORAGE}/0"), "would be encrypted in another way"),
        (with_key("k1"), with_key("k1"), ("", ""), "would be encrypted in another way"),
        (with_key("k1"), with_key(), ("libsodium", f"{STORAGE}/0"), "would be encrypted in another way"),
        (with_key("p", pgp=True), with_key("p", pgp=True), ("pgp", f"{STORAGE}/0"), ""),
        (with_key(), with_key(), ("", ""), ""),
        (with_key(), with_key(), ("?", ""), "cannot be compared any more"),
    ],
)
def test_the_operators_switch_off_and_on(old: Object, new: Object, written: tuple[str, str], refused: str) -> None:
    made, wanted, live = quiet(old, new)
    made = resumed(with_encryption(made, wanted, live), KEY, written, wanted=wanted, find=live.get)
    reasons = encryption_refusals(made)
    assert bool(reasons) is bool(refused)
    assert all(refused in one and "--allow-encryption-change" in one for one in reasons)
    assert not any(key in repr(made) + "".join(reasons) for key in ("k1", "k2"))


def test_what_is_written_down_of_an_encryption() -> None:
    made, _, _ = quiet(with_key("k1"), with_key("k1"))
    assert written_with(made, KEY, after=True) == ("libsodium", f"{STORAGE}/0")
    told = Archives({**ON, GENERATION: "3"}, {}, {KEY: cr()}, secret_before=frozenset({"WALG_PGP_KEY"}))
    assert written_with(told, KEY, after=False) == ("pgp", "/3")
    assert written_with(Archives(ON, ON, {KEY: cr()}), KEY, after=False) == ("", "")
    own = cr({"WALG_LIBSODIUM_KEY_TRANSFORM": "hex", "PLANTON_DATABASE_CREDENTIALS_GENERATION": "2"})
    reference = {"name": "db-x-backup-libsodium", "key": "WALG_LIBSODIUM_KEY"}
    own["spec"]["env"].append({"name": "WALG_LIBSODIUM_KEY", "valueFrom": {"secretKeyRef": reference}})
    assert written_with(Archives(ON, ON, {KEY: own}), KEY, after=False) == ("libsodium hex", "db-x-backup-libsodium/2")
    # Where the key stands in the resource itself, nothing of it is written down.
    plain = cr({"WALG_LIBSODIUM_KEY": "k1"})
    assert written_with(Archives(ON, ON, {KEY: plain}), KEY, after=False) == ("libsodium", "")


def lost(copies: dict[Key, Object], name: str = STORAGE) -> Archives:
    told = config_map("op", "postgres-operator", pod_environment_secret=name)
    made = Archives({**ON, GENERATION: "1"}, {**ON, GENERATION: "2"}, {KEY: cr()}, settings=SETTINGS, namespace="op")
    live = {SETTINGS: told, **copies}
    assert former_secrets(made, {SETTINGS: told}) == [Key(SECRET, "a", name), Key(SECRET, "op", name)]
    return with_encryption(made, {Key(SECRET, "op", name): with_key("k1"), SETTINGS: told}, live)


def test_a_lost_storage_secret_is_compared_by_a_copy_of_its_generation() -> None:
    copy = with_key("k1")
    copy["metadata"]["annotations"] = {"planton.ai/credentials-generation": "1"}
    assert not lost({COPY: copy}).reencrypted
    copy["data"] = with_key("k2")["data"]
    assert "would be encrypted in another way" in encryption_refusals(lost({COPY: copy}))[0]
    name = f"{STORAGE}-libsodium"
    assert "cannot be compared any more" in encryption_refusals(lost({}, name))[0]
    # A copy that is older than what the pods were told proves nothing.
    old = with_key("k1")
    assert "cannot be compared any more" in encryption_refusals(lost({Key(SECRET, "a", name): old}, name))[0]


@pytest.mark.parametrize(
    ("inherited", "own", "is_refused"),
    [
        ({}, {}, False),
        ({"WALG_DELTA_MAX_STEPS": "3"}, {}, True),
        ({"WALG_DELTA_MAX_STEPS": "3"}, {"WALG_DELTA_MAX_STEPS": "0"}, False),
        ({}, {"WALG_DELTA_MAX_STEPS": "1"}, True),
        ({"WALG_DELTA_MAX_STEPS": "0"}, {}, False),
    ],
)
def test_deltas_do_not_go_on_over_another_encryption(
    inherited: dict[str, str], own: dict[str, str], is_refused: bool
) -> None:
    made = Archives(ON, {**ON, **inherited}, {KEY: cr(own)}, {KEY: cr(own)}, reencrypted=frozenset({KEY}))
    reasons = delta_refusals(made)
    assert bool(reasons) is is_refused
    assert all("raise it again after the next full base backup" in one for one in reasons)
    assert not delta_refusals(Archives(ON, {**ON, **inherited}, {KEY: cr(own)}))


def test_an_archive_is_no_longer_its_own_once_it_went_on_elsewhere() -> None:
    def one(prefix: str, why: str, name: str = "db-x") -> LeftArchive:
        return LeftArchive("", prefix, "a", name, "17", why)

    there = [one("s3://b/1", STOPPED), one("s3://b/2", TAKEN), one("s3://b/3", MOVED), one("s3://b/4", DELETED)]
    found = elsewhere([*there, one("s3://b/5", TAKEN, "db-y")], ArchiveIdentity("", "s3://b/2"), "a", "db-x")
    assert found == [one("s3://b/1", MOVED), one("s3://b/4", MOVED)]


def test_what_was_written_down_before_encryption_was() -> None:
    text = '{"store":"","prefix":"s3://b/x","namespace":"a","name":"db-x","version":"17","why":"stopped"}'
    (found,) = read_record({"k": text})
    assert (found.encryption, found.key_in) == ("?", "")


@pytest.mark.parametrize(
    ("instances", "by_replicas", "days"), [(2, True, 63), (3, True, 28), (4, True, 21), (4, False, 63), (20, True, 10)]
)
def test_every_replica_uses_up_base_backups(instances: int, by_replicas: bool, days: int) -> None:
    environment = {"BACKUP_NUM_TO_RETAIN": "10", "BACKUP_SCHEDULE": "0 2 * * 0"}
    if by_replicas:
        environment["WALG_BACKUP_FROM_REPLICA"] = "true"
    assert recovery_window(environment, instances).span.days == days


def test_a_window_follows_the_number_of_instances() -> None:
    env = {"BACKUP_SCHEDULE": "0 2 * * 0", "WALG_BACKUP_FROM_REPLICA": "true"}
    two, three = cr(env, numberOfInstances=2), cr(env, numberOfInstances=3)
    assert archives(ON, ON, two, three).instances(KEY) == (2, 3)
    other = Key(POSTGRESQL, "b", "db-y")
    assert Archives(ON, ON, {other: cr(OFF)}).instances(other) == (1, 1)
    assert secret("a", "b")["kind"] == "Secret"
