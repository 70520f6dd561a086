"""No credential is shown: by its name, by its value, in a diff, by a plan."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import html
import json
import pickle
import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton.cluster import Change, ClusterIdentity, FieldChange, Plan
from planton.cluster.api.mask import HIDDEN, Scrubber, scrubber_for, without_tokens
from planton.cluster.changes import Sealed, summary
from planton.cluster.permissions.review import refusals_in, reworded
from planton.cluster.planning.diff import field_changes
from planton.sensitive import looks_like_credential
from tests.cluster.objects import config_map, deployment, secret

IDENTITY = ClusterIdentity("https://example.org:6443", "here", "kubeconfig")
NOTHING = Scrubber()


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "PGPASSWORD", "WALG_LIBSODIUM_KEY",
        "WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN", "api-key",
        "CLONE_AWS_SECRET_ACCESS_KEY", "logical_backup_s3_secret_access_key", "scalyr_api_key", "private_key", "passwd",
        "AZURE_CLIENT_SECRET", "kubernetes.io/tls.key", "htpasswd", "GITHUB_TOKEN",
    ],
)  # fmt: skip
def test_names_of_credentials(name: str) -> None:
    assert looks_like_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        "USE_WALG_BACKUP", "WALG_S3_PREFIX", "AWS_ENDPOINT", "AWS_REGION", "BACKUP_SCHEDULE", "watched_namespace",
        "pod_environment_secret", "enable_secrets_deletion", "secret_name_template", "AWS_WEB_IDENTITY_TOKEN_FILE",
        "WALG_LIBSODIUM_KEY_PATH", "delete_annotation_name_key", "docker_image", "max_connections", "CLONE_SCOPE",
        "WALG_LIBSODIUM_KEY_TRANSFORM", "enable_password_rotation", "pod_service_account_name",
    ],
)  # fmt: skip
def test_names_that_may_be_shown(name: str) -> None:
    assert not looks_like_credential(name)


def test_a_scrubber_knows_values_in_all_their_forms() -> None:
    value = 'sen"tinel\\+ä\nline two of it'
    scrubber = scrubber_for([secret("a", KEY=value)])
    encoded = secret("a", KEY=value)["data"]["KEY"]
    for text in (value, encoded, json.dumps(value), json.dumps(value, ensure_ascii=False), "line two of it"):
        assert "tinel" not in scrubber.text(f"before {text} after")
        assert "line two" not in scrubber.text(f"before {text} after")
        assert encoded not in scrubber.text(f"before {text} after")
        assert scrubber.text(f"before {text} after").startswith("before ")
    assert scrubber.text("nothing in it") == "nothing in it"
    assert "tinel" not in repr(scrubber)
    with pytest.raises(TypeError):
        pickle.dumps(scrubber)


def test_short_values_are_no_reason_to_hide_half_of_every_text() -> None:
    scrubber = scrubber_for([secret("a", KEY="abc")])
    assert scrubber.text("abc is the alphabet") == "abc is the alphabet"


def test_the_longer_of_two_values_goes_whole() -> None:
    assert Scrubber(["abcd", "abcdef"]).text("x abcdef y abcd") == f"x {HIDDEN} y {HIDDEN}"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_value_survives_scrubbing(value: str, before: str, after: str) -> None:
    text = Scrubber([value]).text(before + value + after)
    # What is left may hold it again only where the mark itself makes it up.
    assert value not in text or value in HIDDEN or value in before + HIDDEN + after


_SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON of PHP": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON of Go": lambda text: "".join(f"\\u{ord(one):04x}" if one in "<>&/" else one for one in json.dumps(text)),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "Python": repr,
    "HTML": lambda text: html.escape(text).replace("/", "&#x2F;").replace("+", "&#43;"),
    "URL": lambda text: quote(text, safe=""),
    "URL in lower case": lambda text: re.sub("%..", lambda match: match.group().lower(), quote(text, safe="")),
    "form": quote_plus,
    "JSON in HTML": lambda text: html.escape(json.dumps(text)),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of JSON of PHP": lambda text: base64.b64encode(json.dumps(text).replace("/", "\\/").encode()).decode(),
    "base64 of base64": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
}


def _readings(text: str) -> Iterator[str]:
    """What a reader makes of a text, by other means than the code."""
    yield text
    yield re.sub(r"\\u([0-9a-f]{4})|\\(.)", lambda one: chr(int(one[1], 16)) if one[1] else one[2], text)
    yield html.unescape(text)
    yield unquote(text)
    yield unquote_plus(text)
    for run in re.findall(r"[A-Za-z0-9+/_-]+", text):
        for skipped in range(4):
            part = run[skipped:].replace("-", "+").replace("_", "/")
            part = part[: len(part) // 4 * 4]
            yield base64.b64decode(part).decode("latin-1")


@pytest.mark.parametrize("said", ["&quot", "&quotabc", "&#34", "&#x22 ", "&QUOT;"])
def test_entities_need_no_semicolon(said: str) -> None:
    assert "sentinel" not in Scrubber(['sentinel-of"']).text(f"a sentinel-of{said}")


@pytest.mark.parametrize("spelling", _SPELLINGS)
@given(
    value=st.text(alphabet="abcXYZ0189/+=&<>\"'%-_", min_size=12, max_size=60),
    before=st.text(alphabet='abc {":', max_size=9),
    after=st.text(alphabet='abc }",', max_size=9),
    data=st.data(),
)
def test_no_part_of_a_value_survives_in_any_spelling(
    spelling: str, value: str, before: str, after: str, data: st.DataObject
) -> None:
    said = f"Error: {_SPELLINGS[spelling](before + value + after)} end"
    begin = data.draw(st.integers(0, len(said)), "begin")
    cut = said[begin : data.draw(st.integers(begin, len(said)), "end")]
    shown = Scrubber([value]).text(cut)
    parts = {value[at : at + 12] for at in range(len(value) - 11)}
    for reading in _readings(shown):
        assert not [one for one in parts if one in reading]


_AS_BYTES: dict[str, Callable[[bytes], str]] = {
    "hexadecimal": bytes.hex,
    "hexadecimal as by OpenSSL": lambda data: data.hex(":"),
    "hexadecimal as by hexdump": lambda data: data.hex(" ").upper(),
    "escaped as by YAML": lambda data: "".join(f"\\U{ord(one):08x}" for one in data.decode()),
    "Go, %v": lambda data: " ".join(map(str, data)),
    "Go, %#v": lambda data: ", ".join(map(hex, data)),
    "escaped": lambda data: "".join(f"\\x{one:02x}" for one in data),
    "escaped as by a shell": lambda data: "".join(f"\\{one:03o}" for one in data),
    "escaped as by Rust": lambda data: "".join(f"\\u{{{ord(one):x}}}" for one in data.decode()),
    "in lines": lambda data: "\n    ".join(data.decode()[at : at + 9] for at in range(0, len(data.decode()), 9)),
    "in lines of YAML": lambda data: "\\\n  ".join(
        data.decode()[at : at + 9] for at in range(0, len(data.decode()), 9)
    ),
    "base64 in lines": lambda data: base64.encodebytes(data * 3).decode().strip().replace("\n", "\r\n "),
    "base64 of base64": lambda data: base64.b64encode(base64.b64encode(data)).decode(),
    "JSON in a URL in a URL": lambda data: quote(quote(json.dumps(data.decode())[1:-1], safe=""), safe=""),
    "base64 in a list": lambda data: "[" + ", ".join(map(str, base64.b64encode(data))) + "]",
}


@pytest.mark.parametrize("value", ["wJalr/XUtnF+EMI=K7&MDENG", "pässwörd-längér-ünïcode"])
@pytest.mark.parametrize("spelling", _AS_BYTES)
def test_a_value_is_known_by_its_bytes_and_over_several_lines(spelling: str, value: str) -> None:
    said = _AS_BYTES[spelling](value.encode())
    shown = Scrubber([value]).text(f'data: "{said}" is invalid since 2026-11-22 10:15:30')
    assert shown.replace("[", "").replace("]", "") == f'data: "{HIDDEN}" is invalid since 2026-11-22 10:15:30'


_BYTES = bytes(range(160, 192))


@pytest.mark.parametrize("value", [_BYTES.hex(), _BYTES.hex().upper(), base64.b64encode(_BYTES).decode()])
def test_a_key_of_bytes_is_known_in_its_other_forms(value: str) -> None:
    scrubber = Scrubber([value])
    for said in (_BYTES.hex(), _BYTES.hex().upper(), base64.b64encode(_BYTES).decode(), _BYTES.hex()[20:40]):
        assert scrubber.text(f"key {said} is wrong") == f"key {HIDDEN} is wrong"
    assert repr(scrubber) == "Scrubber(1 values)"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("http://me:sentinel@host:9000/x", f"http://{HIDDEN}@host:9000/x"),
        ('"s3+x://:sen/ti@nel@host"', f'"s3+x://{HIDDEN}@host"'),
        ("https://host:9000/x and me@example.org", None),
        ("https://host/x@sha256:abc", None),
    ],
)
def test_users_of_addresses_are_hidden_whoever_they_belong_to(said: str, shown: str | None) -> None:
    for scrubber in (Scrubber([]), Scrubber(["another-value"])):
        assert scrubber.text(said) == (said if shown is None else shown)


def test_a_short_value_is_known_by_its_base64() -> None:
    scrubber = Scrubber(["hunt?r>"])
    assert "hunt" not in (said := scrubber.text("key: aHVudD9yPg==, url: aHVudD9yPg, aHVudD9yPg"))
    assert "aHVud" not in said
    # As it stands in a Secret that is quoted as a whole, and once more in base64.
    body = base64.b64encode(b'{"data": {"key": "aHVudD9yPg=="}}').decode()
    assert scrubber.text(f"body {body} end") == f"body {HIDDEN} end"


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("pa\tss\nwd", "pa\\tss\\nwd"),
        ("a few\tshort\nlines\nmore", "a few\\tshort\\nlines\\nmore"),
        ("ab cd ef", "ab+cd+ef"),
        ("three of few are it", "three+of+few+are+it"),
        ("?>?>", "Pz4/Pg"),
        ("?>?>", "Pz4_Pg"),
        (">>>>", "Pj4+Pg"),
        (">>>>", "Pj4-Pg"),
        ("pa55word", "70613535776f7264"),
        ("tab\tbed1", "0x74, 0x61, 0x62, 0x9, 0x62, 0x65, 0x64, 0x31"),
    ],
)
def test_a_value_of_pieces_that_are_too_short_is_known_as_a_whole(value: str, spelled: str) -> None:
    assert Scrubber([value]).text(f"before {spelled} after") == f"before {HIDDEN} after"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("seventwo", " ".join(["1"] * 7 + [str(ord(one)) for one in "seventwo"])),
        ("pa55word", quote("äöüßäöüß") + "".join(f"%{ord(one):02X}" for one in "pa55word12345678")),
    ],
)
def test_where_not_all_characters_take_up_as_much_all_that_is_read_goes(value: str, text: str) -> None:
    """As many places as characters: by their number alone one would take each for as long as the next."""
    assert Scrubber([value]).text(f"[{text}]") == f"[{HIDDEN}]"


def test_a_value_in_the_middle_of_another_ends_nothing() -> None:
    assert Scrubber(["wJalr/XUtnF+EMI=K7&MDENG", "XUtn"]).text("it is wJalr/XUtnF+EMI=K7&MDENG") == f"it is {HIDDEN}"


def test_what_is_hidden_is_no_more_than_the_value() -> None:
    secret_value = "wJalr/XUtnF+EMI=K7&MDENG"
    scrubber = Scrubber([secret_value])
    for spelling in ("as it is", "JSON of Go", "HTML", "URL"):
        said = _SPELLINGS[spelling](secret_value).strip('"')
        assert scrubber.text(f"the field {said}, at 100% of a\\b") == f"the field {HIDDEN}, at 100% of a\\b"
    run = "".join(f"%{ord(one):02X}" for one in f"abc{secret_value}xyz")
    assert scrubber.text(run) == f"%61%62%63{HIDDEN}%78%79%7A"
    assert scrubber.text("it begins with wJalr/XUtnF+EMI") == f"it begins with {HIDDEN}"
    assert scrubber.text("it begins with wJalr/XUt") == "it begins with wJalr/XUt"


def test_many_secrets_cost_little() -> None:
    values = [hashlib.sha256(f"{number}".encode()).hexdigest()[:40] for number in range(5000)]
    begin = time.process_time()
    scrubber = Scrubber(values)
    assert time.process_time() - begin < 0.1
    assert scrubber.text(f"x {values[77]} y") == f"x {HIDDEN} y"
    begin = time.process_time()
    for _ in range(1000):
        scrubber.text('"a value of a field in a diff, as there are thousands of them"')
    assert time.process_time() - begin < 0.5
    # Short ones too, in a long text: they are not tried one after the other at each place.
    scrubber = Scrubber([value[:8] for value in values])
    scrubber.text("")
    begin = time.process_time()
    assert scrubber.text(f"{'3f ' * 10_000}{values[77][:8]}") == f"{'3f ' * 10_000}{HIDDEN}"
    assert time.process_time() - begin < 0.2


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        '"',
        " ",
        'User "',
        'User "x" cannot ',
        "bearer ",
        "0x1 ",
        "1 ",
        "3f ",
        "3f:",
        "3f-a",
        "\\U000",
        "://",
        "://a:",
        "%2",
        "\\n",
        "<",
    ],
)
def test_a_long_text_costs_no_more_than_its_length(piece: str) -> None:
    text = f'bearer User "{piece * (30_000 // len(piece))}'
    begin = time.process_time()
    assert reworded(text) == text
    assert refusals_in(text) == []
    without_tokens(text)
    Scrubber(["sentinel-value"]).text(text)
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("{'authorization': 'Bearer sentinel-token'}", f"{{'authorization': 'Bearer {HIDDEN}"),
        ("authorization: basic dXNlcjpwYXNzd29yZA== more", f"authorization: basic {HIDDEN} more"),
        ("Proxy-Authorization: Negotiate YIIabcdefg", f"Proxy-Authorization: Negotiate {HIDDEN}"),
        ("Basic authentication is off, no bearer token was given", None),
        ("invalid bearer token, square/oidc: bad", None),
    ],
)
def test_headers_that_are_quoted_are_hidden_whoever_they_belong_to(said: str, shown: str | None) -> None:
    assert without_tokens(said) == (shown or said)


def test_a_diff_hides_credentials_wherever_they_stand() -> None:
    before = config_map("a", AWS_SECRET_ACCESS_KEY="sentinel-1", USE_WALG_BACKUP="1", DATABASE_URL="3")
    after = config_map("a", AWS_SECRET_ACCESS_KEY="sentinel-2", USE_WALG_BACKUP="2", DATABASE_URL="4")
    assert field_changes(before, after, NOTHING) == (
        FieldChange("data.AWS_SECRET_ACCESS_KEY", HIDDEN, HIDDEN),
        FieldChange("data.USE_WALG_BACKUP", '"1"', '"2"'),
        # Nobody knows what stands under the name of a variable that is not ours.
        FieldChange("data.DATABASE_URL", HIDDEN, HIDDEN),
    )
    (change,) = field_changes(secret("a", ANY="sentinel-1"), secret("a", ANY="sentinel-2"), NOTHING)
    assert change == FieldChange("data.ANY", HIDDEN, HIDDEN)
    with_env = deployment("a", env=[{"name": "SETTINGS", "value": "x"}, {"name": "API_TOKEN", "value": "sentinel"}])
    for one, other in ((deployment("a"), with_env), (with_env, deployment("a"))):
        assert "sentinel" not in str(field_changes(one, other, NOTHING))
    annotated = copy.deepcopy(before)
    annotated["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "sentinel"}
    assert "sentinel" not in str(field_changes(before, annotated, NOTHING))
    # By its value too, where the name says nothing.
    known = Scrubber(["sentinel-9"])
    assert "sentinel" not in str(field_changes(before, config_map("a", plain="x sentinel-9 y"), known))


def test_a_diff_names_items_by_their_keys() -> None:
    after = deployment("a", image="example.org/worker:2", env=[{"name": "EMPTY"}, {"name": "NEW", "value": "n"}])
    after["spec"]["replicas"] = 0
    paths = {one.path: (one.before, one.after) for one in field_changes(deployment("a"), after, NOTHING)}
    prefix = "spec.template.spec.containers[name=worker]"
    assert paths == {
        "spec.replicas": ("1", "0"),
        f"{prefix}.image": ('"example.org/worker:1"', '"example.org/worker:2"'),
        f"{prefix}.env[name=SETTINGS].value": (HIDDEN, None),
        f"{prefix}.env[name=EMPTY].value": ('""', None),
        f"{prefix}.env[name=NEW].value": (None, HIDDEN),
    }


def test_a_diff_sees_another_order_and_quotes_odd_names() -> None:
    env = [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]
    one, other = deployment("a", env=env), deployment("a", env=env[::-1])
    (change,) = field_changes(one, other, NOTHING)
    assert (change.path.endswith("env (order)"), change.before, change.after) == (True, '["B", "A"]', '["A", "B"]')
    odd = config_map("a")
    odd["metadata"]["labels"] = {**odd["metadata"]["labels"], "example.org/team": "x"}
    assert field_changes(config_map("a"), odd, NOTHING)[0].path == 'metadata.labels["example.org/team"]'


def test_a_diff_leaves_out_what_only_the_server_writes() -> None:
    after = config_map("a") | {"status": {"seen": 1}}
    after["metadata"] = {**after["metadata"], "uid": "1", "resourceVersion": "5", "generation": 3, "managedFields": []}
    assert field_changes(config_map("a"), after, NOTHING) == ()


def test_a_plan_gives_nothing_away() -> None:
    plan = Plan(IDENTITY, (), _sealed=Sealed([secret("a", KEY="sentinel-value")]))
    encoded = secret("a", KEY="sentinel-value")["data"]["KEY"]
    for text in (repr(plan), str(plan), str(dataclasses.asdict(plan)), str(copy.deepcopy(plan))):
        assert "sentinel" not in text
        assert encoded not in text
    with pytest.raises(TypeError):
        pickle.dumps(plan)
    with pytest.raises(TypeError):
        json.dumps(dataclasses.asdict(plan))
    assert dataclasses.replace(plan, warnings=()) == plan


def test_a_plan_can_be_read() -> None:
    diff = (FieldChange("spec.replicas", "1", "2"), FieldChange("data.KEY", HIDDEN, None))
    changes = (
        Change("created", "v1", "Namespace", "", "a"),
        Change("configured", "v1", "ConfigMap", "a", "b", diff, ("it restarts",)),
        Change("unchanged", "v1", "Secret", "a", "c"),
        Change("skipped", "v1", "Secret", "a", "d", reason="stays"),
    )
    assert str(Plan(IDENTITY, changes, effects=("it restarts",), target_clusters=("one",))) == "\n".join(
        [
            "Cluster: https://example.org:6443 (context here of kubeconfig)",
            "Target cluster in the manifests: one",
            "+ Namespace/a created",
            "~ ConfigMap/a/b configured",
            "    spec.replicas: 1 -> 2",
            "    data.KEY: <hidden> -> (removed)",
            "    ! it restarts",
            ". Secret/a/d skipped (stays)",
            "Effects:",
            "  it restarts",
            "Plan: 1 created, 1 configured, 1 unchanged, 1 skipped.",
        ]
    )
    assert summary(()) == "nothing"
    assert not Plan(IDENTITY, changes[2:]).changed
