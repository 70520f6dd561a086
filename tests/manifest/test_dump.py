"""What is written: order, quotes, blocks, masks, files."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from planton.errors import ManifestError
from planton.manifest import dump, dumps, load, loads
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes
from tests.manifest.support import DATABASE, EXAMPLES, OPERATOR, metadata, spec

WHOLE = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: orders
  labels:
    app: "1"
    on: "x"
  tags:
    - "y"
    - two words
  version: {}
spec:
  container:
    replicas: 0
    resources:
      limits:
        cpu: "1000m"
        memory: "1Gi"
      requests:
        cpu: "50m"
        memory: "100Mi"
    disk_size: "1Gi"
  ingress:
    enabled: true
    dns_domain: example.com
    allowed_source_ranges:
      - "10.0.0.0/8"
  backup_config:
    s3_prefix: "s3://bucket/$(SCOPE)"
    enable_backup: false
  version: "17"
status:
  outputs:
    namespace: orders
    username_secret:
      name: a
      key: b
"""


def written() -> PostgresKubernetes:
    (message,) = loads(
        """
status: {outputs: {username_secret: {key: b, name: a}, namespace: orders}}
spec:
  version: "17"
  backupConfig: {enableBackup: false, s3Prefix: "s3://bucket/$(SCOPE)"}
  ingress: {allowed_source_ranges: [10.0.0.0/8], dns_domain: example.com, enabled: true}
  container: {replicas: 0}
metadata: {version: {}, tags: ["y", two words], labels: {"on": x, app: "1"}, name: orders}
kind: PostgresKubernetes
apiVersion: kubernetes.project-planton.org/v1
"""
    )
    assert isinstance(message, PostgresKubernetes)
    return message


def test_the_whole_form() -> None:
    expected = WHOLE.replace("    on: ", '    "on": ').replace('"x"', "x").replace("two words", '"two words"')
    assert dumps(written()) == expected


def test_json() -> None:
    text = dumps(written(), format="json")
    tree = json.loads(text)
    assert list(tree) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert tree["spec"]["container"]["replicas"] == 0
    assert tree["spec"]["backup_config"]["enable_backup"] is False
    assert tree["metadata"]["version"] == {}
    assert loads(text) == loads(WHOLE.replace("    on:", '    "on":'))


def test_other_readers_of_yaml_read_the_same() -> None:
    messages = loads("---\n".join(EXAMPLES.values()))
    assert list(yaml.safe_load_all(dumps(messages))) == json.loads(dumps(messages, format="json"))


def test_one_many_and_none() -> None:
    messages = loads(f"{DATABASE}---\n{OPERATOR}")
    assert dumps(messages) == dumps(messages[0]) + "---\n" + dumps(messages[1])
    assert dumps(iter(messages)) == dumps(messages)
    assert isinstance(json.loads(dumps(messages, format="json")), list)
    assert isinstance(json.loads(dumps([messages[0]], format="json")), dict)
    assert dumps([]) == ""
    assert dumps([], format="json") == "[]\n"


def test_dumping_changes_nothing_and_fills_only_the_head() -> None:
    message = PostgresKubernetes()
    message.metadata.name = "orders"
    before = message.SerializeToString()
    assert dumps(message) == (
        "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresKubernetes\nmetadata:\n  name: orders\n"
    )
    assert message.SerializeToString() == before
    message.kind = "Kept"
    assert dumps(message).startswith("apiVersion: kubernetes.project-planton.org/v1\nkind: Kept\n")


def test_enums_by_name_and_unknown_ones_by_number() -> None:
    message = PostgresOperatorKubernetes()
    selector = message.spec.target_cluster.kubernetes_cluster_selector
    selector.cluster_kind = selector.AwsEksClusterCore
    assert "cluster_kind: AwsEksClusterCore\n" in dumps(message)
    message.ParseFromString(message.SerializeToString().replace(b"\x08\xda\x01", b"\x08\x87\x02"))
    assert "cluster_kind: 263\n" in dumps(message)
    assert '"cluster_kind": 263' in dumps(message, format="json")


def test_credentials_are_masked_on_demand() -> None:
    messages = loads(OPERATOR)
    plain, masked = dumps(messages), dumps(messages, redact=True)
    assert "access_key_id: AKIDSENTINEL\n      secret_access_key: SECRETSENTINEL" in plain
    assert 'access_key_id: "<hidden>"\n      secret_access_key: "<hidden>"' in masked
    for form in (masked, dumps(messages, format="json", redact=True)):
        assert "SENTINEL" not in form
        assert form.count("<hidden>") == 2
        assert "postgres-backups" in form


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb", ["slug: |-", "    a", "    b"]),
        ("a\nb\n", ["slug: |", "    a", "    b"]),
        ("a\n\n  b\n", ["slug: |", "    a", "", "      b"]),
        ("#!/bin/sh\n---\n- x: 'y'", ["slug: |-", "    #!/bin/sh", "    ---", "    - x: 'y'"]),
        ("é😀\n", ["slug: |", "    é😀"]),
        # What a block would not give back exactly stands in quotes.
        (" a\nb", ['slug: " a\\nb"']),
        ("\na", ['slug: "\\na"']),
        ("a \nb", ['slug: "a \\nb"']),
        ("a\nb ", ['slug: "a\\nb "']),
        ("a\n\n", ['slug: "a\\n\\n"']),
        ("a\n  \nb", ['slug: "a\\n  \\nb"']),
        ("a\tb\nc", ['slug: "a\\tb\\nc"']),
        ("a\r\nb", ['slug: "a\\r\\nb"']),
        ("a\x85\nb", ['slug: "a\\u0085\\nb"']),
        ("a\u2028\nb", ['slug: "a\\u2028\\nb"']),
        ("a\ufeff\nb", ['slug: "a\\ufeff\\nb"']),
        ("a\0\nb", ['slug: "a\\u0000\\nb"']),
        ("\n", ['slug: "\\n"']),
    ],
)
def test_text_of_several_lines(text: str, lines: list[str]) -> None:
    message = PostgresKubernetes()
    message.metadata.slug = text
    out = dumps(message)
    assert out.splitlines()[3:] == [f"  {lines[0]}", *lines[1:]]
    assert yaml.safe_load(out)["metadata"]["slug"] == text


def test_long_and_odd_keys() -> None:
    message = PostgresKubernetes()
    for key in ("k" * 3000, "two\nlines", "", "y", "1", "<<", "? x", "a: b", "é"):
        message.metadata.annotations[key] = f"{key[:3]}\nvalue"
        message.metadata.labels[key] = ""
    out = dumps(message)
    assert yaml.safe_load(out)["metadata"]["annotations"] == dict(message.metadata.annotations)
    assert yaml.safe_load(out)["metadata"]["labels"] == dict.fromkeys(message.metadata.annotations, "")


def test_keys_of_maps_are_sorted() -> None:
    (message,) = loads(metadata("labels: {b: x, a: x, C: x}"))
    assert dumps(message).index("C: x") < dumps(message).index("a: x") < dumps(message).index("b: x")


# Files


def test_into_files(tmp_path: Path) -> None:
    messages = loads(DATABASE + "---\n" + spec("version: '17'"))
    for name in ("a.yaml", "a.json", "a.txt"):
        path = tmp_path / name
        dump(messages, path)
        assert load(path) == messages
        dump(messages, str(path), format="yaml" if name == "a.txt" else None)
        assert load(path) == messages
    assert (tmp_path / "a.json").read_text().startswith("[\n")
    assert (tmp_path / "a.txt").read_text().startswith("apiVersion")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("x" * 100_000)
    dump(loads(DATABASE), path)
    assert path.read_text() == dumps(loads(DATABASE))


_ON_A_FULL_DISK = """
import resource, signal, sys
import planton
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
messages = planton.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    planton.dump(messages, sys.argv[2])
except planton.ManifestError as error:
    print(error)
"""


def test_what_cannot_be_written_to_its_end_leaves_what_was_there(tmp_path: Path) -> None:
    source, path, new = tmp_path / "source.yaml", tmp_path / "one.yaml", tmp_path / "new.yaml"
    source.write_text(DATABASE)
    path.write_text("# was there\n")
    for target in (path, new):
        command = [sys.executable, "-c", _ON_A_FULL_DISK, str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "file too large" in done.stdout
    assert path.read_text() == "# was there\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one.yaml", "source.yaml"]


def test_what_is_no_file_of_its_own_stays_the_same_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link, name, pipe = (tmp_path / one for one in ("real/one.yaml", "link.yaml", "name.yaml", "pipe"))
    real.write_text("")
    real.chmod(0o640)
    link.symlink_to(real)
    dump(loads(DATABASE), link)
    assert link.is_symlink()
    assert load(real) == loads(DATABASE)
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    name.hardlink_to(real)
    real.write_text("")
    dump(loads(DATABASE), name)
    assert real.read_text() == name.read_text() != ""
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    dump(loads(DATABASE), pipe)
    assert loads(os.read(reader, 10_000).decode()) == loads(DATABASE)
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_new_files_with_credentials_are_for_their_owner_only(tmp_path: Path) -> None:
    def mode(name: str) -> int:
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    dump(loads(OPERATOR), tmp_path / "keys.yaml")
    dump(loads(OPERATOR), tmp_path / "masked.yaml", redact=True)
    dump(loads(DATABASE), tmp_path / "database.yaml")
    assert mode("keys.yaml") == 0o600
    assert mode("masked.yaml") == mode("database.yaml") == 0o666 & mode("database.yaml")
    assert mode("database.yaml") & 0o044


def test_into_streams(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    dump(loads(DATABASE), stream)
    assert stream.getvalue() == dumps(loads(DATABASE))
    dump(loads(DATABASE), "-", format="json")
    assert capsys.readouterr().out == dumps(loads(DATABASE), format="json")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        dump(loads(DATABASE), tmp_path / "nowhere" / "a.yaml")
    (problem,) = caught.value.problems
    assert problem.origin.file == str(tmp_path / "nowhere" / "a.yaml")
    assert problem.message == "cannot be used: no such file or directory"


def test_an_unknown_format() -> None:
    with pytest.raises(ValueError, match="format must be yaml or json"):
        dumps(loads(DATABASE), format="toml")  # type: ignore[arg-type]
