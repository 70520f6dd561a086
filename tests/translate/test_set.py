"""What only a whole set of manifests shows, and that rendering is pure."""

from __future__ import annotations

import copy

import pytest

import planton
from planton.translate.existing import Existing, ExistingDatabase
from tests.manifests import database, operator


def problems(text: str, existing: Existing | None = None) -> list[str]:
    with pytest.raises(planton.ManifestError) as caught:
        planton.render(planton.loads(text), existing=existing)
    return [str(problem) for problem in caught.value.problems]


def in_namespace(namespace: str) -> str:
    return f"labels: {{kubernetes.project-planton.org/namespace: {namespace}}}"


def test_the_same_database_twice() -> None:
    (text,) = [one for one in problems(operator() + database() + database()) if "twice" in one]
    assert "is given twice: also as PostgresKubernetes/orders (<text>, document 2)" in text


def test_two_operators() -> None:
    second = operator().replace("name: postgres-operator", "name: second")
    (text,) = problems(operator() + second)
    assert "two operators on the same namespaces fight" in text


def test_two_databases_with_one_archive_by_prefix() -> None:
    backup = 's3_prefix: "shared-bucket/one/$(PGVERSION)"'
    (text,) = problems(operator() + database("a", backup=backup) + database("b", backup=backup))
    assert "has the same archive as PostgresKubernetes/a" in text
    assert "spec.backup_config.s3_prefix" in text


def test_two_databases_with_one_archive_by_name_in_two_namespaces() -> None:
    first = database("orders", metadata=in_namespace("one"))
    second = database("orders", metadata=in_namespace("two"))
    assert any("has the same archive as" in text for text in problems(operator() + first + second))


def test_the_namespace_in_the_template_tells_them_apart() -> None:
    template = 's3_prefix_template: "$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"'
    first = database("orders", metadata=in_namespace("one"))
    second = database("orders", metadata=in_namespace("two"))
    assert planton.render(planton.loads(operator(backup=template) + first + second))


def test_versions_tell_archives_apart() -> None:
    backup = 's3_prefix: "shared-bucket/one/$(PGVERSION)"'
    first = database("a", backup=backup, spec='version: "16"')
    assert planton.render(planton.loads(operator() + first + database("b", backup=backup)))


def test_a_live_database_with_the_same_archive() -> None:
    existing = Existing(from_cluster=True, databases=(ExistingDatabase("theirs", "db-orders", "17"),))
    (text,) = problems(operator() + database(), existing)
    assert "has the same archive as the live database theirs/db-orders" in text


def test_a_database_that_is_off_has_no_archive_to_share() -> None:
    off = ExistingDatabase("theirs", "db-orders", "17", {"WALG_S3_PREFIX": "", "USE_WALG_BACKUP": "false"})
    assert planton.render(
        planton.loads(operator() + database()), existing=Existing(from_cluster=True, databases=(off,))
    )


def test_the_live_database_itself_is_no_clash() -> None:
    existing = Existing(from_cluster=True, databases=(ExistingDatabase("orders", "db-orders", "16"),))
    rendering = planton.render(planton.loads(operator() + database()), existing=existing)
    (cluster,) = [item for item in rendering if item["kind"] == "postgresql"]
    assert cluster["spec"]["postgresql"]["version"] == "16"


def test_switching_off_is_refused_while_a_live_database_keeps_its_prefix() -> None:
    live = ExistingDatabase("theirs", "own", "17", {"WALG_S3_PREFIX": "s3://b/x"})
    existing = Existing(from_cluster=True, databases=(live,))
    (text,) = problems(operator(backup="enable_wal_g_backup: false"), existing)
    assert "would harm the live database theirs/own: it has an archive prefix of its own" in text
    (text,) = problems(operator(backup=None), existing)
    assert "would harm the live database theirs/own" in text


def test_an_archive_of_its_own_with_its_own_keys_and_switch_is_left_alone() -> None:
    environment = {"WALG_S3_PREFIX": "s3://b/x", "USE_WALG_BACKUP": "true"}
    live = ExistingDatabase("theirs", "own", "17", environment, references=frozenset({"AWS_ACCESS_KEY_ID"}))
    existing = Existing(from_cluster=True, databases=(live,))
    assert planton.render(planton.loads(operator(backup=None)), existing=existing)


def test_a_live_database_that_switched_itself_off_by_the_switch_alone() -> None:
    live = ExistingDatabase("theirs", "half", "17", {"USE_WALG_BACKUP": "false"})
    (text,) = problems(operator(), Existing(from_cluster=True, databases=(live,)))
    assert 'its own USE_WALG_BACKUP is not "true", and it would get an archive prefix' in text


@pytest.mark.parametrize("backup", [None, "enable_wal_g_backup: false"])
def test_a_live_database_that_asks_for_backups_itself_does_not_lose_them_silently(backup: str | None) -> None:
    live = ExistingDatabase("orders", "db-orders", "17", {"USE_WALG_BACKUP": "true"})
    (text,) = problems(operator(backup=backup), Existing(from_cluster=True, databases=(live,)))
    assert "its backups would stop" in text


def test_two_live_databases_that_would_share_an_archive() -> None:
    pair = (ExistingDatabase("one", "acid-same", "17"), ExistingDatabase("two", "acid-same", "17"))
    (text,) = problems(operator(), Existing(from_cluster=True, databases=pair))
    assert "gives the live databases one/acid-same and two/acid-same the same archive" in text
    template = 's3_prefix_template: "$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"'
    assert planton.render(planton.loads(operator(backup=template)), existing=Existing(True, pair))


def test_an_operator_version_that_does_not_run_a_live_database() -> None:
    existing = Existing(from_cluster=True, databases=(ExistingDatabase("one", "old", "13"),))
    (text,) = problems(operator(version="2.0.1"), existing)
    assert "operator 2.0.1 does not run PostgreSQL 13 of the live database one/old" in text


def test_names_of_objects_that_would_meet() -> None:
    first = database("x", metadata=in_namespace("shared"), spec="ingress: {enabled: true, dns_domain: example.org}")
    second = database("x-external", metadata=in_namespace("shared"))
    found = problems(operator() + first + second)
    assert len([text for text in found if "its objects would have the names of those of" in text]) == 2
    assert planton.render(planton.loads(operator() + database("x") + database("x-repl")))


def test_a_host_name_that_a_live_service_publishes() -> None:
    text = operator() + database(spec="ingress: {enabled: true, dns_domain: example.org}")
    theirs = Existing(from_cluster=True, hostnames={"orders.example.org": "theirs/db-x-external"})
    (problem,) = problems(text, theirs)
    assert "makes the same external host name as the live Service theirs/db-x-external" in problem
    ours = Existing(from_cluster=True, hostnames={"orders.example.org": "orders/db-orders-external"})
    assert planton.render(planton.loads(text), existing=ours)


def test_switching_off_is_fine_when_the_set_renders_that_database_anew() -> None:
    live = ExistingDatabase("orders", "db-orders", "17", {"WALG_S3_PREFIX": "s3://b/x"})
    existing = Existing(from_cluster=True, databases=(live,))
    text = operator(backup="enable_wal_g_backup: false") + database(backup="enable_backup: false")
    assert planton.render(planton.loads(text), existing=existing)


def test_two_databases_with_one_host_name() -> None:
    ingress = "ingress: {enabled: true, dns_domain: example.org, allowed_source_ranges: [10.0.0.0/8]}"
    first = database("a", metadata=in_namespace("shared"), spec=ingress)
    second = database("b", metadata=in_namespace("shared"), spec=ingress)
    (text,) = problems(operator() + first + second)
    assert "makes the same external host name as PostgresKubernetes/a" in text


def test_ingress_selects_the_primary_only_and_warns_when_open() -> None:
    ingress = "ingress: {enabled: true, dns_domain: example.org}"
    rendering = planton.render(planton.loads(operator() + database(spec=ingress)))
    (service,) = [item for item in rendering if item["metadata"]["name"] == "db-orders-external"]
    assert service["spec"]["selector"] == {
        "application": "spilo",
        "cluster-name": "db-orders",
        "spilo-role": "master",
    }
    assert service["metadata"]["annotations"] == {"external-dns.alpha.kubernetes.io/hostname": "orders.example.org"}
    assert [warning.path for warning in rendering.warnings] == ["spec.ingress.allowed_source_ranges"]


def test_versions_that_the_operator_does_not_run() -> None:
    (text,) = problems(operator() + database(spec='version: "18"'))
    assert "operator 1.15.1 runs PostgreSQL 13 to 17" in text
    (text,) = problems(operator(version="2.0.1") + database(spec='version: "13"'))
    assert "operator 2.0.1 runs PostgreSQL 14 to 18" in text


def test_labels_are_carried_over_and_never_over_ours() -> None:
    metadata = "id: r-1\norg: acme\nenv: prod\nlabels: {team: data}\nannotations: {note: hello}"
    for item in planton.render(planton.loads(operator() + database(metadata=metadata))):
        labels = item["metadata"]["labels"]
        assert labels["planton.ai/resource"] == "true"
        assert labels["app.kubernetes.io/managed-by"] == "planton"
        if labels["planton.ai/kind"] == "PostgresKubernetes":
            assert labels["team"] == "data"
            assert labels["planton.ai/id"] == "r-1"
            assert labels["planton.ai/organization"] == "acme"
            assert labels["planton.ai/environment"] == "prod"
            assert item["metadata"]["annotations"]["note"] == "hello"


def test_order_and_keys() -> None:
    rendering = planton.render(planton.loads(database() + operator() + database("zeta")))
    kinds = [item["kind"] for item in rendering]
    assert kinds == sorted(kinds, key=kinds.index)
    assert kinds[0] == "Namespace"
    assert kinds[-1] == "postgresql"
    assert all(list(item)[:3] == ["apiVersion", "kind", "metadata"] for item in rendering)


def test_rendering_is_pure() -> None:
    manifests = planton.loads(operator() + database(backup="enable_clone: false"))
    before = [copy.deepcopy(message) for message in manifests]
    first = planton.render(manifests)
    second = planton.render(manifests)
    assert list(first) == list(second)
    assert list(manifests) == before


def test_rendering_shows_no_keys() -> None:
    rendering = planton.render(planton.loads(operator()))
    assert repr(rendering) == "<Rendering: 10 objects, 0 warnings>"


def test_an_operator_version_without_the_switch_that_a_live_database_uses() -> None:
    live = ExistingDatabase("one", "norestore", "17", {"USE_WALG_RESTORE": "false"})
    existing = Existing(from_cluster=True, databases=(live,))
    (text,) = problems(operator(version="2.0.1"), existing)
    assert "has no switch to turn restore off, as the live database one/norestore asks for" in text
