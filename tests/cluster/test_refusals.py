"""Which refusals are believed, and what is said of them: not each 403 is about a permission, and not each lasts."""

from __future__ import annotations

from typing import Any

import pytest

from planton.cluster.api import exec as exec_
from planton.cluster.api.connection import ApiError
from planton.cluster.api.readiness import Readiness
from planton.cluster.api.server import Server
from planton.cluster.permissions.review import Need, denied_in
from tests.cluster.test_connection import GOOD, KEY, Answer, Script, send, status
from tests.cluster.test_connection import script as script

WORDS = (
    'configmaps "settings" is forbidden: User "ci" cannot patch resource "configmaps" in API group "" in the namespace'
)
REFUSED = status(403, "Forbidden", f'{WORDS} "space"', name="settings", kind="configmaps")
UNREADABLE = status(403, "Forbidden", 'forbidden: User "ci" cannot get path "/readyz"')
READY: Answer = (200, {"Content-Type": "text/plain"}, b"ok")
UNREADY: Answer = (500, {"Content-Type": "text/plain"}, b"[-]informer-sync failed: reason withheld\n")
NOWHERE: Answer = (404, {"Content-Type": "text/html"}, b"<h1>not here</h1>")


def paths(script: Script) -> list[str]:
    """What was asked: `?` for whether the server is ready, `.` for all else."""
    return ["?" if path == "/readyz" else "." for _, path, _ in script.asked]


def apply(script: Script) -> Any:
    return Server(script.connection, "test").apply(KEY, {})


def test_a_server_that_has_just_started_is_asked_again(script: Script) -> None:
    script.answers = [REFUSED, UNREADABLE, REFUSED, UNREADY, REFUSED, READY, GOOD]
    assert apply(script) == (GOOD[2], False)
    assert "".join(paths(script)) == ".?.?.?."


def test_a_server_that_is_ready_is_believed_the_second_time(script: Script) -> None:
    """It may have become ready between the two."""
    script.answers = [REFUSED, READY, REFUSED]
    with pytest.raises(ApiError) as caught:
        apply(script)
    assert caught.value.status == 403
    assert denied_in(caught.value) == (Need("space", "", "configmaps", "patch", "settings"),)
    # What is refused right after that is believed at once.
    script.answers = [REFUSED]
    with pytest.raises(ApiError):
        apply(script)
    # But not once it was away: another process may answer.
    script.answers = [None, REFUSED, READY, GOOD]
    assert apply(script) == (GOOD[2], False)


def test_a_server_that_was_ready_long_ago_is_asked_anew(script: Script) -> None:
    script.answers = [REFUSED, READY, REFUSED]
    with pytest.raises(ApiError):
        apply(script)
    script.pauses.append(60.0)
    script.answers = [REFUSED, READY, GOOD]
    assert apply(script) == (GOOD[2], False)


def test_who_may_not_ask_whether_it_is_ready_waits_once_and_not_for_long(script: Script) -> None:
    script.answers = [REFUSED, UNREADABLE] * 500
    with pytest.raises(ApiError) as caught:
        apply(script)
    assert caught.value.status == 403
    assert 8.0 < sum(script.pauses) < 13.0
    script.answers, waited = [REFUSED], sum(script.pauses)
    with pytest.raises(ApiError):
        apply(script)
    assert sum(script.pauses) == waited


def test_a_server_that_never_gets_ready_is_waited_for_as_one_that_is_away(script: Script) -> None:
    script.answers = [REFUSED, UNREADY] * 500
    with script.connection.patience.bounded(20.0), pytest.raises(ApiError) as caught:
        apply(script)
    assert caught.value.status == 403
    assert 18.0 < sum(script.pauses) < 24.0


def test_where_nobody_tells_it_the_refusal_counts(script: Script) -> None:
    script.answers = [REFUSED, NOWHERE]
    with pytest.raises(ApiError) as caught:
        apply(script)
    assert caught.value.status == 403
    assert script.pauses == []


def test_what_was_sent_before_the_refusal_may_have_arrived(script: Script) -> None:
    """A deletion whose answer was lost in the restart is ours, though the server refused in between."""
    gone = status(404, "NotFound", "no", name="settings", kind="configmaps")
    script.answers = [GOOD, None, REFUSED, READY, gone]
    server = Server(script.connection, "test")
    assert server.get(KEY) is not None
    assert server.delete(KEY, uid="1")


def test_a_command_in_a_pod_is_begun_again_by_a_server_that_has_just_started(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        'pods "p" is forbidden: User "ci" cannot create resource "pods/exec" in API group "" in the namespace "space"'
    )
    outcomes: list[object] = [ApiError(words, status=403), ApiError(words, status=403), "open"]

    def opened(*_: object) -> object:
        outcome = outcomes.pop(0)
        if isinstance(outcome, ApiError):
            raise outcome
        return outcome

    monkeypatch.setattr(exec_, "_open", opened)
    script.answers = [UNREADY, READY]
    assert exec_._opened(Server(script.connection, "test"), "space", "p", ["true"], "c") == "open"
    # One that is ready, and refuses once more, means it.
    outcomes += [ApiError(words, status=403), ApiError(words, status=403)]
    script.pauses.append(60.0)
    script.answers = [READY]
    with pytest.raises(ApiError):
        exec_._opened(Server(script.connection, "test"), "space", "p", ["true"], "c")
    assert not outcomes


def test_readiness_is_of_a_time() -> None:
    known = Readiness()
    assert not known.was_given(5.0)
    known.note(5.0, 2.0)
    assert [known.was_given(one) for one in (4.9, 5.0, 7.0, 7.1)] == [False, True, True, False]
    known.note(6.0, 2.0)
    assert known.was_given(5.0)
    assert known.was_given(8.0)
    known.note(20.0, 2.0)
    assert not known.was_given(8.0)
    known.forget()
    assert not known.was_given(20.0)


def test_what_a_webhook_quotes_is_not_about_the_caller() -> None:
    quoted = 'admission webhook "x" denied the request: secrets "y" is forbidden: User "system:webhook" '
    text = f'{quoted}cannot get resource "secrets" in API group "" in the namespace "space"'
    assert denied_in(ApiError(text, status=403, reason="Forbidden")) == ()


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (status(403, "Forbidden", 'secrets "x" is forbidden: exceeded quota: none, requested: a=1'), "ResourceQuota"),
        (status(403, "Forbidden", 'secrets "x" is forbidden: status unknown for quota: none'), "ResourceQuota"),
        (
            status(
                403,
                "Forbidden",
                "forbidden: unable to create new content in namespace x because it is being terminated",
            ),
            "wait until it is gone",
        ),
        (status(403, "Forbidden", 'admission webhook "a.b" denied the request: no'), "a rule of the cluster"),
        (
            status(
                403, "Forbidden", "x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"
            ),
            "a rule of the cluster",
        ),
        (REFUSED, "needs that permission"),
        (status(500, "", "etcdserver: request is too large"), "1.5 MiB"),
        (
            status(
                500, "", "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3 vs. 2)"
            ),
            "1.5 MiB",
        ),
        (status(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"), "1.5 MiB"),
        ((413, {"Content-Type": "text/html"}, b"<h1>413 Request Entity Too Large</h1>"), "a proxy, or a load balancer"),
    ],
)
def test_a_refusal_that_stays_is_told_at_once_with_its_own_remedy(script: Script, answer: Answer, remedy: str) -> None:
    script.answers = [GOOD, answer]
    send(script)
    with pytest.raises(ApiError) as caught:
        send(script, "apply")
    assert remedy in caught.value.remedy
    assert len(script.asked) == 2
    assert ("permission" in caught.value.remedy and "no permission" not in caught.value.remedy) == (answer is REFUSED)


@pytest.mark.parametrize(
    ("answer", "status_told", "remedy"),
    [
        ((408, {}, b"<h1>408 Request Time-out</h1>"), 0, "a proxy or load balancer"),
        ((500, {}, b"<h1>Internal error</h1>"), 0, "a proxy or load balancer"),
        ((500, {}, {"type": "error", "message": "sentinel"}), 0, "a proxy or load balancer"),
        ((524, {}, b"<h1>A timeout occurred</h1>"), 0, "a proxy or load balancer"),
        ((500, {}, b'Internal Server Error: "/api": Post "https://sentinel": refused'), 500, "is not well"),
        ((500, {}, b"This request caused apiserver to panic. Look in the logs for details."), 500, "is not well"),
        (status(403, "Forbidden", 'secrets "x" is forbidden: not yet ready to handle request'), 403, "is not well"),
        (status(500, "InternalError", 'failed calling webhook "x.y": refused'), 500, "admission webhook"),
    ],
)
def test_what_may_pass_is_tried_again_and_told_as_what_it_is(
    script: Script, answer: Answer, status_told: int, remedy: str
) -> None:
    script.answers = [GOOD, answer, answer, GOOD]
    send(script)
    assert send(script, "apply") == (200, GOOD[2])
    script.answers = [answer] * 50
    with pytest.raises(ApiError) as caught:
        send(script, "apply")
    assert caught.value.status == status_told
    assert remedy in caught.value.remedy
    assert "sentinel" not in str(caught.value)
