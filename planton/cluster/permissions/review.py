"""Whether planton may do what it is about to do: asked before anything is written, and read out of refusals.

The server is asked about the caller itself (SelfSubjectAccessReview), which everybody may by default. Where it does not
answer, nothing is known: then a refusal comes when it comes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from planton.cluster.api.connection import ApiError, Request
from planton.cluster.api.genuine import is_kind
from planton.cluster.api.refusals import Doubt, is_of_authorizer
from planton.cluster.api.resources import Key, ResourceType
from planton.cluster.api.server import Server, in_parallel, joined, results
from planton.translate.planton_permissions import PERMISSIONS, Work
from planton.words import first_few

R = TypeVar("R")

_REVIEW = "SelfSubjectAccessReview"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# Kubernetes v1.36, apiserver pkg/endpoints/handlers/responsewriters/errors.go (forbiddenMessage): whatever authorizer
# refused, these are the words. A quota and an admission webhook have others.
_REFUSAL = re.compile(
    r'(?:(?:(?<![\w.-])[\w.-]+ )?"(?P<name>[^"]*)" is forbidden: )?User ".{0,1000}?" '
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" '
    r'in API group "(?P<group>[^"]*)" '
    r'(?:in the namespace "(?P<namespace>[^"]*)"|at the cluster scope)',
    re.DOTALL,
)
_CANNOT = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)" '
    r'(?:in the namespace "(?P<namespace>[^"]*)"|at the cluster scope)'
)
# A set of a thousand databases can be refused in all of them: the first say what is missing.
_MOST_LINES = 3
_MOST_NAMES = 3
_MOST_SPACES = 10


class Need(NamedTuple):
    """Something that has to be allowed.

    Attributes:
        namespace: In which namespace; empty for what stands in none, and for all.
        group: API group; empty for the core group.
        resource: Plural name, with the subresource, such as `pods/exec`.
        verb: Such as `create`.
        name: Of which object; empty for all.
    """

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    @property
    def words(self) -> str:
        """The same words as an API server's that refuses it."""
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'cannot {self.verb} resource "{self.resource}" in API group "{self.group}" {where}'

    @property
    def work(self) -> Work | None:
        """The work for which `planton permissions` prints a role that has it; None for none."""
        return next(iter(self.works), None)

    @property
    def works(self) -> list[Work]:
        """The works of which each has it, in their order."""
        return [
            one.work
            for one in PERMISSIONS
            if self.verb in one.verbs
            and self.group in (one.group, *"*" * (one.group == "*"))
            and one.resource in (self.resource, "*")
            and (not one.names or not self.name or self.name in one.names)
        ]


class NoPermissionError(ApiError):
    """The caller may not do what planton would have to do.

    Attributes:
        denied: What is not allowed.
    """

    def __init__(self, denied: Iterable[Need], *, phase: str, subject: str = "", why: str = "") -> None:
        """Makes the error.

        Args:
            denied: What is not allowed, at least one.
            phase: What was being done.
            subject: `Kind/namespace/name` of what it was found out with; empty for what was only asked about.
            why: Why all else is not done either, where that is not plain.
        """
        given = tuple(dict.fromkeys(denied))
        super().__init__(
            "\n  ".join(part for part in (told(given), why) if part),
            subject=subject,
            phase=phase,
            status=403,
            reason="Forbidden",
            remedy=remedy_for(given),
        )
        self.denied = given


def told(denied: Sequence[Need], *, every: bool = False) -> str:
    """Says what is not allowed.

    Args:
        denied: What is not allowed, at least one.
        every: Whether all of it is said.

    Returns:
        A line for each; of the same thing in many namespaces the first few, and in which others.
    """
    names: dict[str, list[str]] = defaultdict(list)
    spaces: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for one in denied:
        names[one.words] += [one.name] if one.name and one.name not in names[one.words] else []
        spaces[one.group, one.resource, one.verb][one.namespace] = one.words
    lines = []
    for words in spaces.values():
        # A single one more is not worth a line about it.
        whole = len(words) if every or len(words) <= _MOST_LINES + 1 else _MOST_LINES
        lines += [line + _in_brackets(names[line], _MOST_NAMES) for line in list(words.values())[:whole]]
        if others := list(words)[whole:]:
            lines.append(f"and the same in {len(others)} more{_in_brackets(others, _MOST_SPACES)}")
    return "\n  ".join(lines)


def _in_brackets(names: Sequence[str], most: int) -> str:
    return f" ({first_few(names, most)})" if names else ""


def remedy_for(denied: Iterable[Need]) -> str:
    """Says what to do, as far as it is known without the works of the run (advice.py).

    Args:
        denied: What is not allowed.

    Returns:
        Which role has it.
    """
    works = sorted({one.work for one in denied if one.work})
    if not works:
        return "Somebody has to grant that to this user."
    return (
        f"The role has it that `planton permissions {' '.join(works)}` prints, with all other works that it shall have "
        "(docs/permissions.md). Bind it, then run the same command again."
    )


def refusals_in(text: str) -> list[Need]:
    """Reads what is not allowed out of the words of a failure, ours or an API server's.

    Args:
        text: The words.

    Returns:
        What is not allowed, each once; without names.
    """
    found = [
        Need(match["namespace"] or "", match["group"], match["resource"], match["verb"])
        for match in _CANNOT.finditer(text)
    ]
    return list(dict.fromkeys(found))


def reworded(text: str) -> str:
    """Says in our words what an API server says of a refusal; who asked, is asked for and told in the remedy.

    Args:
        text: The words.

    Returns:
        The same, shorter.
    """

    def ours(match: re.Match[str]) -> str:
        name = match["name"]
        words = Need(match["namespace"] or "", match["group"], match["resource"], match["verb"]).words
        return f"{words} ({name})" if name else words

    return _REFUSAL.sub(ours, text)


def denied_in(error: BaseException) -> tuple[Need, ...]:
    """Reads what is not allowed out of a failure.

    Args:
        error: The failure.

    Returns:
        What is not allowed; empty when it failed for another reason.
    """
    if isinstance(error, NoPermissionError):
        return error.denied
    # What a webhook quotes is not about this caller.
    if not isinstance(error, ApiError) or not is_of_authorizer(error):
        return ()
    match = _REFUSAL.search(error.text)
    if match is None:
        return ()
    return (Need(match["namespace"] or "", match["group"], match["resource"], match["verb"], match["name"] or ""),)


def together(failures: Sequence[Exception]) -> Exception:
    """Makes one error of several.

    Args:
        failures: At least one.

    Returns:
        One that says all that is not allowed, where nothing else is wrong; else as `joined`.
    """
    denied = [denied_in(one) for one in failures]
    if len(failures) == 1 or not all(denied):
        return joined(failures)
    first = failures[0]
    phase, subject = (first.phase, first.subject) if isinstance(first, ApiError) else ("", "")
    return NoPermissionError([one for found in denied for one in found], phase=phase, subject=subject)


def gathered(outcomes: Sequence[R | Exception]) -> list[R]:
    """Takes results apart from failures, with all that is not allowed at once.

    Args:
        outcomes: What in_parallel gave.

    Returns:
        The results, when there is no failure.

    Raises:
        Exception: The failures.
    """
    failures = [one for one in outcomes if isinstance(one, Exception)]
    if failures and all(denied_in(one) for one in failures):
        raise together(failures)
    return results(outcomes)


def needs(resource: ResourceType | str, verbs: str, namespace: str = "", name: str = "", group: str = "") -> list[Need]:
    """Makes needs.

    Args:
        resource: The resource; as text its plural name.
        verbs: What is done, with blanks between.
        namespace: In which namespace; empty for what stands in none.
        name: Of which object; empty for all.
        group: API group, for a resource given as text.

    Returns:
        One for each verb.
    """
    if isinstance(resource, ResourceType):
        group, _, _ = resource.api_version.rpartition("/")
        # Of a Namespace the server takes the name for the namespace, too: a role in it can allow to delete it.
        namespace = name if resource.kind == "Namespace" else namespace
        resource = resource.plural
    return [Need(namespace, group, resource, verb, name) for verb in verbs.split()]


def needs_of(key: Key, verbs: str) -> list[Need]:
    """Makes needs about one object.

    Args:
        key: Its identity.
        verbs: What is done with it, with blanks between.

    Returns:
        One for each verb.
    """
    return needs(key.resource, verbs, key.namespace, key.name)


def denied_of(server: Server, wanted: Iterable[Need]) -> list[Need]:
    """Asks the server what is not allowed, in few requests where much is.

    First for all objects of all namespaces; then for each namespace, and for each name; then as it is. All of it again
    where the server has only just started, and knows nobody yet.

    Args:
        server: The API server.
        wanted: What has to be allowed.

    Returns:
        What is not allowed, sorted; empty where the server does not tell.

    Raises:
        ApiError: It could not be reached.
    """
    wanted = set(wanted)
    doubt, patience = Doubt(server), server.connection.patience
    while True:
        asked = patience.now()
        denied = _denied(server, wanted)
        if not denied or not doubt.is_of(asked):
            return denied


def _denied(server: Server, wanted: Iterable[Need]) -> list[Need]:
    kinds: dict[Need, list[Need]] = defaultdict(list)
    for one in wanted:
        kinds[_everywhere(one)].append(one)
    answers = _ask(server, kinds)
    # Sorted only now: of thousands nearly always none is left.
    left = sorted(one for kind, found in kinds.items() if not answers[kind] for one in found)
    # The fewer questions first: copies in many namespaces have few names, what is in one namespace has many.
    for widen in sorted((_in_its_namespace, _by_its_name), key=lambda one: len(set(map(one, left)))):
        counted = Counter(widen(one) for one in left)
        # What was denied for all of them is not asked again, nor is one question made of a single one.
        answers = _ask(server, [one for one, count in counted.items() if count > 1 and one != _everywhere(one)])
        left = [one for one in left if not answers.get(widen(one), False)]
    answers = _ask(server, left)
    return [one for one in left if not answers[one]]


def _everywhere(need: Need) -> Need:
    return Need("", need.group, need.resource, need.verb)


def _in_its_namespace(need: Need) -> Need:
    return Need(need.namespace, need.group, need.resource, need.verb)


def _by_its_name(need: Need) -> Need:
    return Need("", need.group, need.resource, need.verb, need.name)


def _ask(server: Server, questions: Iterable[Need]) -> dict[Need, bool]:
    wanted = sorted(set(questions))
    return dict(zip(wanted, results(in_parallel(lambda one: _is_allowed(server, one), wanted)), strict=True))


def _is_allowed(server: Server, need: Need) -> bool:
    resource, _, subresource = need.resource.partition("/")
    asked = {
        "verb": need.verb,
        "group": need.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": need.namespace,
        "name": need.name,
    }
    body: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": _REVIEW,
        "spec": {"resourceAttributes": {name: value for name, value in asked.items() if value}},
    }
    try:
        answer = server.send(Request("POST", _REVIEWS, (), body, "application/json"), "permissions", is_kind(_REVIEW))[
            1
        ]
    except ApiError as error:
        # Who may not even ask may still do it, and hears of a refusal when it comes.
        if error.status in (403, 404, 405):
            return True
        raise
    return bool((answer.get("status") or {}).get("allowed", True))


def check_allowed(server: Server, wanted: Iterable[Need]) -> None:
    """Makes sure that all is allowed, before anything is written.

    Args:
        server: The API server.
        wanted: What has to be allowed.

    Raises:
        NoPermissionError: Something is not.
        ApiError: The server could not be reached.
    """
    if denied := denied_of(server, wanted):
        raise NoPermissionError(denied, phase=server.phase)
