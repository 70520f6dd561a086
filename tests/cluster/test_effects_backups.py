"""What a change is said to do to backups, each sentence for itself: pure."""

from __future__ import annotations

import base64

import pytest

from planton.cluster.api.resources import CONFIG_MAP, POSTGRESQL, SECRET, Key
from planton.cluster.backups.archives import Archives
from planton.cluster.backups.encryption import encryption_refusals, with_encryption
from planton.cluster.planning.effects import effects_of
from tests.cluster.objects import Object, config_map, secret
from tests.cluster.test_effects import KEY, OFF, ON, RESTART, archives, cr

OTHER = Key(POSTGRESQL, "b", "db-y")
GENERATION, OWN_GENERATION = "PLANTON_CREDENTIALS_GENERATION", "PLANTON_DATABASE_CREDENTIALS_GENERATION"
STORAGE = "r2-postgres-backup-credentials"


def other(env: dict[str, str] | None = None) -> Object:
    made = cr(env)
    made["metadata"] |= {"name": "db-y", "namespace": "b"}
    return made


def by_operator(made: Archives) -> list[str]:
    """What is said of a change of the backup ConfigMap."""
    old, new = config_map("a", "postgres-pod-backup-config", x="1"), config_map("a", "postgres-pod-backup-config")
    assert effects_of(config_map("a", "other"), config_map("a", "other", x="1"), made) == ()
    return list(effects_of(new, old, made))


def with_key(value: str = "", *, pgp: bool = False) -> Object:
    """The operator's storage Secret, with a key for encryption."""
    data = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    if value:
        data["WALG_PGP_KEY" if pgp else "WALG_LIBSODIUM_KEY"] = value
    return secret("a", STORAGE, **data)


def reencrypted(old: Object, new: Object, before: dict[str, str], after: dict[str, str]) -> Archives:
    key, settings = Key(SECRET, "a", STORAGE), Key(CONFIG_MAP, "a", "postgres-operator")
    told = config_map("a", "postgres-operator", pod_environment_secret=STORAGE)
    made = Archives(
        {**before, GENERATION: "1"},
        {**after, GENERATION: "2"},
        {KEY: cr(), OTHER: other(OFF)},
        settings=settings,
        namespace="a",
        secret_before=frozenset(old["data"]),
        secret_after=frozenset(new["data"]),
    )
    return with_encryption(made, {key: new, settings: told}, {key: old, settings: told})


def test_the_operators_change_names_databases_and_variables() -> None:
    after = {**ON, "AWS_REGION": "eu-1", "http_proxy": "http://proxy"}
    made = Archives(ON, after, {KEY: cr(), OTHER: other({"AWS_REGION": "own"})})
    (effect,) = by_operator(made)
    assert effect == "rolling restart of the pods of 2 databases (a/db-x, b/db-y): AWS_REGION and http_proxy change"
    # One that says it itself is not touched by it.
    only = Archives(ON, {**ON, "AWS_REGION": "eu-1"}, {KEY: cr(), OTHER: other({"AWS_REGION": "own"})})
    assert by_operator(only) == ["rolling restart of the pods of 1 database (a/db-x): AWS_REGION changes"]
    assert by_operator(archives(ON, ON, cr())) == []


def test_many_variables_are_counted() -> None:
    after = {**ON, **{f"NAME_{number:02}": "x" for number in range(13)}}
    (effect,) = by_operator(archives(ON, after, cr()))
    assert effect.endswith("NAME_08, NAME_09 and 3 more change")


def test_new_credentials() -> None:
    (effect,) = by_operator(archives({**ON, GENERATION: "1"}, {**ON, GENERATION: "2"}, cr()))
    assert effect == "rolling restart of the pods of 1 database (a/db-x): new credentials"
    after = {**ON, GENERATION: "2", "AWS_REGION": "x"}
    (effect,) = by_operator(archives({**ON, GENERATION: "1"}, after, cr()))
    assert effect.endswith(": new credentials; AWS_REGION changes")
    own = effects_of(cr({OWN_GENERATION: "2"}), cr({OWN_GENERATION: "1"}), Archives(ON, ON))
    assert own == (f"{RESTART} new credentials",)


def test_fields_and_variables_in_one_sentence() -> None:
    (effect,) = effects_of(cr({"AWS_REGION": "x"}, resources={"limits": {"cpu": "1"}}), cr(), Archives(ON, ON))
    assert effect == f"{RESTART} resources and AWS_REGION change"


def test_keys_of_the_secret_reach_the_environment_too() -> None:
    made = Archives({}, {}, {KEY: cr()}, secret_after=frozenset({"AWS_ACCESS_KEY_ID"}))
    old = config_map("a", "postgres-operator", watched_namespace="*")
    new = config_map("a", "postgres-operator", watched_namespace="*", pod_environment_secret="s")
    (effect,) = effects_of(new, old, made)
    assert effect == "rolling restart of the pods of 1 database (a/db-x): AWS_ACCESS_KEY_ID changes"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (ON, {}, "backups of 1 database stop: a/db-x"),
        (ON, {"USE_WALG_BACKUP": "false"}, "backups of 1 database stop: a/db-x"),
        ({}, ON, "backups of 1 database begin: a/db-x"),
        (
            ON,
            {**ON, "WALG_S3_PREFIX": "s3://b/other"},
            "the archives of 1 database move (a/db-x): what is in the old place stays there, and restores "
            "need it; the new place has nothing to restore from until its first base backup",
        ),
        (
            ON,
            {**ON, "AWS_ENDPOINT": "https://store.example.org/"},
            "the archives of 1 database move from Amazon S3 to store.example.org (a/db-x): what is in the old place "
            "stays there, and restores need it; the new place has nothing to restore from until its first base backup",
        ),
    ],
)
def test_archives_of_the_operator(before: dict[str, str], after: dict[str, str], said: str) -> None:
    assert by_operator(archives(before, after, cr()))[1:] == [said]
    # One that says everything itself is not touched by it.
    assert not any("a/db-x" in one and "restart" not in one for one in by_operator(archives(before, after, cr(OFF))))


def test_another_name_of_the_same_store_moves_nothing() -> None:
    before, after = (
        {**ON, "AWS_ENDPOINT": "https://E.example.org:443/"},
        {**ON, "AWS_ENDPOINT": "https://e.example.org"},
    )
    assert by_operator(archives(before, after, cr())) == [
        "rolling restart of the pods of 1 database (a/db-x): AWS_ENDPOINT changes"
    ]


def test_a_shrinking_window_is_said_of_the_operators_databases_and_of_one() -> None:
    before, after = {**ON, "BACKUP_NUM_TO_RETAIN": "7"}, {**ON, "BACKUP_NUM_TO_RETAIN": "3"}
    made = Archives(before, after, {KEY: cr(), OTHER: other({"BACKUP_NUM_TO_RETAIN": "4"})})
    assert by_operator(made)[1:] == [
        "recovery window of 1 database (a/db-x): at least 7 days -> at least 3 days; it shrinks: what is older goes "
        "after the next base backup"
    ]
    _, effect = effects_of(cr({"BACKUP_NUM_TO_RETAIN": "14"}), cr(), Archives(before, before))
    assert effect == "recovery window of db-x: at least 7 days -> at least 14 days"
    # Without an archive there is no window.
    assert len(by_operator(archives(before, after, cr(OFF)))) == 1


def test_a_schedule_that_comes_less_often_widens_the_window() -> None:
    weekly = {**ON, "BACKUP_SCHEDULE": "0 3 * * 0"}
    _, effect = by_operator(archives(ON, weekly, cr()))
    assert effect == (
        "recovery window of 1 database (a/db-x): at least 5 days -> at least 5 days, by the schedule about 28 days"
    )
    _, effect = by_operator(archives(weekly, ON, cr()))
    assert effect.endswith("-> at least 5 days; it shrinks: what is older goes after the next base backup")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            with_key(),
            with_key("k1"),
            "it was written in clear, and wal-g reads everything with a libsodium key from now on.",
        ),
        (
            with_key("k1"),
            with_key(),
            "it was encrypted with a libsodium key, and wal-g reads everything without a key from now on.",
        ),
        (
            with_key("k1"),
            with_key("k2"),
            "it was encrypted with a libsodium key, and wal-g reads everything with another one from now on.",
        ),
        (
            with_key("k1"),
            with_key("p", pgp=True),
            "it was encrypted with a libsodium key, and wal-g reads everything with a PGP key from now on.",
        ),
    ],
)
def test_another_encryption_says_what_becomes_unreadable_and_shows_no_key(old: Object, new: Object, said: str) -> None:
    made = reencrypted(old, new, ON, ON)
    assert made.reencrypted == {KEY}
    effects = by_operator(made)
    (effect,) = [one for one in effects if "unreadable" in one]
    assert effect.startswith("what is archived so far of 1 database (a/db-x) becomes unreadable: " + said)
    assert effect.endswith("there is nothing to restore from, and a new replica has to be copied from the primary")
    for shown in ("".join(effects), repr(made), "".join(encryption_refusals(made))):
        for value in ("k1", "k2"):
            assert value not in shown
            assert base64.b64encode(value.encode()).decode() not in shown


def test_a_new_archive_and_a_new_key_say_which_key_the_old_one_needs() -> None:
    moved = {**ON, "WALG_S3_PREFIX": "s3://b/new/$(SCOPE)"}
    made = reencrypted(with_key("k1"), with_key("k2"), ON, moved)
    assert made.reencrypted == frozenset()
    assert by_operator(made)[-1] == (
        "the old archive of 1 database (a/db-x) is encrypted with a libsodium key, and only that key reads it: keep "
        "the key of until now"
    )
    made = reencrypted(with_key(), with_key("k2"), ON, moved)
    assert by_operator(made)[-1].endswith(
        "is written in clear, and the new one with a libsodium key: a restore from the old one must have no key"
    )


def test_a_database_of_its_own_encryption() -> None:
    name = "db-x-backup-credentials"
    reference = {
        "name": "WALG_LIBSODIUM_KEY",
        "valueFrom": {"secretKeyRef": {"name": name, "key": "WALG_LIBSODIUM_KEY"}},
    }
    new = cr()
    new["spec"]["env"] = [reference]
    wanted = {KEY: new, Key(SECRET, "a", name): secret("a", name, WALG_LIBSODIUM_KEY="k1")}
    made = with_encryption(Archives(ON, ON, {KEY: cr()}, {KEY: new}, namespace="a"), wanted, {KEY: cr()})
    assert made.encryption == {KEY: ("", "libsodium")}
    effects = effects_of(new, cr(), made)
    assert effects[0] == f"{RESTART} WALG_LIBSODIUM_KEY changes"
    assert effects[1].startswith("what is archived so far of db-x becomes unreadable: it was written in clear")


def test_what_is_inherited_from_a_secret_that_is_not_in_the_set_is_no_clear_text() -> None:
    """Without the operator's manifest its key is not known, and that there is one is."""
    names = frozenset({"WALG_PGP_KEY"})
    reference = {"name": "WALG_PGP_KEY", "value": ""}
    new = cr()
    new["spec"]["env"] = [reference]
    made = Archives(ON, ON, {KEY: cr()}, {KEY: new}, secret_before=names, secret_after=names)
    assert with_encryption(made, {KEY: new}, {KEY: cr()}).encryption == {KEY: ("pgp", "")}
    same = Archives(ON, ON, {KEY: cr()}, {KEY: cr()}, secret_before=names, secret_after=names)
    assert with_encryption(same, {KEY: cr()}, {KEY: cr()}).encryption == {}


def test_another_certificate_restarts_nothing_and_its_mount_restarts_all() -> None:
    old, new = (secret("a", "postgres-backup-files", **{"ca.crt": text}) for text in ("one", "two"))
    said = "changes: pods have the new one within minutes, and none restarts"
    assert effects_of(new, old) == (f"the certificate of the object store's authority {said}",)
    old, new = (secret("a", "db-x-store-ca", **{"ca.crt": text}) for text in ("one", "two"))
    assert effects_of(new, old) == (f"the certificate of the authority that db-x-store-ca is for {said}",)
    off = config_map("a", "postgres-operator", watched_namespace="*")
    on = config_map("a", "postgres-operator", watched_namespace="*", additional_secret_mount="postgres-backup-files")
    made = Archives(ON, ON, {KEY: cr(), OTHER: other()})
    mounted = (
        "rolling restart of the pods of all 2 databases: the certificate of the object store's authority is mounted"
    )
    assert effects_of(on, off, made) == (f"{mounted} into them",)
    no_more, stays = effects_of(off, on, made)
    assert no_more == f"{mounted} no more"
    assert stays.startswith("Secret postgres-backup-files in each namespace with a database stays, with what it holds")
    assert effects_of(on, off, Archives()) == ()


def test_keys_that_drifted_are_not_told_to_the_pods() -> None:
    old, new = secret("a", STORAGE, AWS_ACCESS_KEY_ID="x"), secret("a", STORAGE, AWS_ACCESS_KEY_ID="y")
    assert effects_of(new, old) == ("pods in namespace a keep the old keys until they restart",)
    new["metadata"]["annotations"] = {"planton.ai/credentials-generation": "1"}
    assert effects_of(new, old) == ()


def test_secrets_that_a_database_no_longer_needs_are_named() -> None:
    reference = {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "db-x-backup-credentials"}}}
    volume = {"name": "ca", "volumeSource": {"secret": {"secretName": "db-x-store-ca"}}}
    before = cr()
    before["spec"] = {**before["spec"], "env": [reference], "additionalVolumes": [volume]}
    left = [one for one in effects_of(cr(), before, Archives()) if one.startswith("Secret ")]
    assert [one.split(" ")[1] for one in left] == ["a/db-x-backup-credentials", "a/db-x-store-ca"]
    assert not any(one.startswith("Secret ") for one in effects_of(before, cr(), Archives()))


def test_the_storage_secret_that_an_operator_no_longer_needs_is_named() -> None:
    keys = config_map("a", "postgres-operator", watched_namespace="*", pod_environment_secret="keys")
    identity = config_map("a", "postgres-operator", watched_namespace="*", pod_environment_secret="")
    made = Archives(ON, ON, {KEY: cr()})
    assert any(one.startswith("Secret keys in each namespace") for one in effects_of(identity, keys, made))
    assert not any(one.startswith("Secret ") for one in effects_of(keys, keys, made))
