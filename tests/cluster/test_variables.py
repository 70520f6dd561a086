"""Values of environment variables are shown by a list of names; what stands under any other name is hidden."""

from __future__ import annotations

from typing import Any

import pytest

import planton
from planton.cluster import FieldChange
from planton.cluster.api.mask import HIDDEN, Scrubber, is_shown_variable
from planton.cluster.environment import environment_in
from planton.cluster.planning.diff import field_changes
from tests import manifests
from tests.cluster.objects import Object, deployment

NOTHING = Scrubber()
BACKUP = """
enable_backup: true
s3_prefix: /mine
backup_schedule: "0 3 * * *"
enable_restore: true
enable_clone: true
"""


def custom_resource(*env: Object) -> Object:
    spec = {"env": list(env)}
    return {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "db-a"}, "spec": spec}


def variable(name: str, value: str) -> Object:
    return {"name": name, "value": value}


def names_in(part: Any) -> set[str]:
    """Finds the names of all variables with plain values."""
    if isinstance(part, dict):
        here = {one["name"] for one in part.get("env") or () if "value" in one}
        return here.union(*(names_in(value) for value in part.values()))
    return set().union(*(names_in(one) for one in part)) if isinstance(part, list) else set()


def test_all_that_planton_writes_is_shown() -> None:
    objects = planton.render(planton.loads(manifests.operator() + manifests.database("orders", backup=BACKUP)))
    names = names_in(list(objects))
    assert {"CONFIG_MAP_NAME", "WALG_S3_PREFIX", "USE_WALG_RESTORE"} <= names
    (backup,) = [one for one in objects if one["metadata"]["name"] == "postgres-pod-backup-config"]
    assert [name for name in names | set(backup["data"]) if not is_shown_variable(name)] == []


@pytest.mark.parametrize(
    "name",
    [
        "PGPASS", "SSH_KEY", "MASTER_KEY", "ENCRYPTION_KEY", "DB_PW", "JWT", "DATABASE_URL", "http_proxy", "BEARER",
        "MYSQL_ROOT_PASS", "USER_PWD", "LDAP_BIND_PW", "CERT_PEM", "SECRET_KEY_NAME", "DELETE_TOKEN", "PLAIN",
        "AWS_SECRET_ACCESS_KEY", "SPILO_CONFIGURATION", "PAM_OAUTH2", "",
    ],
)  # fmt: skip
def test_what_nobody_knows_is_hidden(name: str) -> None:
    template = deployment("a", "postgres", env=[variable(name, "sentinel"), variable("SCOPE", "db-a")])
    template["spec"]["template"]["spec"]["containers"][0]["name"] = "postgres"
    assert environment_in(template) == [variable(name, HIDDEN), variable("SCOPE", "db-a")]
    one, other = custom_resource(variable(name, "sentinel-1")), custom_resource(variable(name, "sentinel-2"))
    (change,) = field_changes(one, other, NOTHING)
    assert (change.before, change.after) == (HIDDEN, HIDDEN)
    for before, after in ((custom_resource(), other), (one, custom_resource())):
        assert "sentinel" not in str(field_changes(before, after, NOTHING))


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "WALE_S3_ENDPOINT", "CLONE_AWS_ENDPOINT"])
def test_a_user_that_others_write_into_an_address_is_hidden(name: str) -> None:
    address, shown = "http://me:sentinel@host:9000", f"http://{HIDDEN}@host:9000"
    template = deployment("a", "postgres", env=[variable(name, address)])
    template["spec"]["template"]["spec"]["containers"][0]["name"] = "postgres"
    assert environment_in(template) == [variable(name, shown)]
    one, other = custom_resource(variable(name, address)), custom_resource(variable(name, "http://host"))
    (change,) = field_changes(one, other, NOTHING)
    assert change.before == f'"{shown}"'


def test_backup_settings_are_shown() -> None:
    one, other = custom_resource(variable("WALG_S3_PREFIX", "s3://a")), custom_resource(variable("WALG_S3_PREFIX", ""))
    assert field_changes(one, other, NOTHING) == (FieldChange("spec.env[name=WALG_S3_PREFIX].value", '"s3://a"', '""'),)


def test_items_of_a_list_with_a_name_twice_are_hidden_by_their_own_names() -> None:
    twice = custom_resource(
        variable("AWS_SECRET_ACCESS_KEY", "sentinel-1"), variable("AWS_SECRET_ACCESS_KEY", "sentinel-2")
    )
    switch = custom_resource(variable("USE_WALG_BACKUP", "true"))
    assert field_changes(twice, switch, NOTHING) == (
        FieldChange("spec.env[0].name", '"AWS_SECRET_ACCESS_KEY"', '"USE_WALG_BACKUP"'),
        FieldChange("spec.env[0].value", HIDDEN, HIDDEN),
        FieldChange("spec.env[1].name", '"AWS_SECRET_ACCESS_KEY"', None),
        FieldChange("spec.env[1].value", HIDDEN, None),
    )
    for one, other in ((twice, switch), (switch, twice), (twice, custom_resource()), (custom_resource(), twice)):
        assert "sentinel" not in str(field_changes(one, other, NOTHING))
    # Another name in the place of a secret one is no reason to show either.
    switches = custom_resource(variable("USE_WALG_BACKUP", "true"), variable("USE_WALG_BACKUP", "false"))
    assert ("spec.env[1].value", '"false"', None) in [
        (one.path, one.before, one.after) for one in field_changes(switches, switch, NOTHING)
    ]


def test_no_value_is_shown_by_a_list_of_another_form() -> None:
    for odd in ("sentinel", ["sentinel"], {"name": "SCOPE", "value": "sentinel"}):
        one = custom_resource()
        one["spec"]["env"] = odd
        assert "sentinel" not in str(field_changes(one, custom_resource(variable("SCOPE", "a")), NOTHING)), odd


def test_headers_of_probes_are_hidden() -> None:
    def probed(value: str) -> Object:
        headers = [variable("Authorization", value)]
        return deployment("a", readinessProbe={"httpGet": {"port": 1, "httpHeaders": headers}})

    (change,) = field_changes(probed("sentinel-1"), probed("sentinel-2"), NOTHING)
    assert (change.before, change.after) == (HIDDEN, HIDDEN)
