"""What a failed request says: what was tried, how often and for how long, and what to do now."""

from __future__ import annotations

import re

from planton.cluster.api.retry import BAD_ANSWER, NO_CONNECTION, Attempts, Failure

WITHOUT_TLS = "Client sent an HTTP request to an HTTPS server."
"""What every server in Go says to a request without TLS (Go 1.26, net/http/server.go, conn.serve)."""

_PROXY_LOGIN = 407
# Words of http.client, when a proxy refuses the way to a server (CPython 3.11 to 3.14, http/client.py, _tunnel).
_TUNNEL_LOGIN = "Tunnel connection failed: 407"
# Kubernetes v1.36, apimachinery pkg/util/managedfields/internal/structuredmerge.go (Apply, objectGVKNN), and
# structured-merge-diff typed/validate.go (doMap).
_UNKNOWN_FIELD = re.compile(
    r"failed to create typed patch object \([^;()]*; (?P<version>[^ ,;()]*), Kind=(?P<kind>\w+)\): .*"
    r"field not declared in schema",
    re.DOTALL,
)
_DATABASES = ("acid.zalan.do/v1", "postgresql")
# The same, apimachinery pkg/util/validation/field/errors.go (ErrorTypeNotSupported): above all a version of PostgreSQL.
_UNKNOWN_VALUE = re.compile(r'^postgresql\.acid\.zalan\.do "[^"]*" is invalid: .*Unsupported value', re.DOTALL)
# Kubernetes v1.36, apiserver pkg/admission/plugin/namespace/lifecycle/admission.go (Admit); pkg/util/webhook/error.go
# (ErrCallingWebhook); pkg/admission/plugin/webhook/errors/statuserror.go (ToStatusErr);
# pkg/admission/plugin/policy/validating/dispatcher.go; pod-security-admission, admission/admission.go.
_TERMINATING = "because it is being terminated"
_WEBHOOK = "failed calling webhook"
_OF_ADMISSION = re.compile(
    r"admission webhook \"[^\"]*\" denied the request|ValidatingAdmissionPolicy '|violates PodSecurity "
)
_AGAIN = "Then run the same command again: it goes on from what is done."
_MAYBE = "Whether the server has still done it is not known; that does no harm."


def is_about_credentials(failure: Failure) -> bool:
    """Tells whether other credentials, or another authority to trust, may help.

    Args:
        failure: How a request failed.

    Returns:
        True for 401, for TLS, and when a plugin gave nothing.
    """
    return failure.status == 401 or (failure.status == 0 and failure.reason in ("TLS", "Credentials"))


def is_of_something_else(failure: Failure) -> bool:
    """Tells whether no API server has answered, but what stands before it.

    Args:
        failure: How a request failed.

    Returns:
        True for a page, and for being sent elsewhere.
    """
    return failure.reason == BAD_ANSWER or 300 <= failure.status < 400


def is_of_old_definition(status: int, text: str) -> bool:
    """Tells whether a database was refused because the cluster's definition does not know a field or value of it.

    Args:
        status: HTTP status.
        text: What the server said.

    Returns:
        True also where the field or value is simply wrong: the definition of a newer operator may know it.
    """
    if status == 500 and (unknown := _UNKNOWN_FIELD.search(text)):
        return (unknown["version"], unknown["kind"]) == _DATABASES
    return status == 422 and _UNKNOWN_VALUE.search(text) is not None


def text_of(failure: Failure, attempts: Attempts | None) -> str:
    """Words what happened.

    Args:
        failure: How it failed in the end, its text free of credentials.
        attempts: What was tried; None for what is tried once.

    Returns:
        The text, of one line unless the server's has more.
    """
    if attempts is None:
        return failure.text
    if attempts.number == 0:
        return f"{failure.text} (found out by another request, and not tried any more)"
    facts = [f"tried {attempts.number} times in {attempts.seconds:.0f} s"] if attempts.number > 1 else []
    if failure.retry_after is not None and failure.retry_after > attempts.limit:
        facts.append(f"the server asks to wait {failure.retry_after:.0f} s")
    return f"{failure.text} ({'; '.join(facts)})" if facts else failure.text


def remedy_of(
    failure: Failure,
    server: str,
    context: str,
    attempts: Attempts | None,
    *,
    is_write: bool,
    was_accepted: bool,
    problem: str,
) -> str:
    """Says what to do.

    Args:
        failure: How it failed in the end.
        server: URL of the API server.
        context: Name of the context.
        attempts: What was tried; None for what is tried once.
        is_write: Whether something was to be changed.
        was_accepted: Whether the server had answered with these credentials before.
        problem: Why the credentials could not be read again.

    Returns:
        The remedy; empty where there is none to give.
    """
    if is_about_credentials(failure):
        return _about_credentials(failure, server, context, was_accepted, problem)
    if failure.status == 403 and failure.reason in ("", "Forbidden") and not failure.is_passing:
        return _about_a_refusal(failure.text, context)
    if failure.is_too_large:
        return _about_size(failure, server)
    if failure.text == WITHOUT_TLS:
        return f"Its address has to begin with https://: the kubeconfig says {server}."
    if failure.status == _PROXY_LOGIN or (failure.status == 0 and _TUNNEL_LOGIN in failure.text):
        return (
            f"The proxy on the way to {server} wants a login: give it as http://USER:PASSWORD@HOST:PORT in proxy-url "
            "of the cluster in the kubeconfig or in HTTPS_PROXY, or name the server in NO_PROXY."
        )
    if failure.status == 0 and failure.reason == NO_CONNECTION:
        if attempts is None or not was_accepted:
            return f"Is {server} the right cluster, and can it be reached from here?"
        why = f"{server} has answered before: is it restarting, or is the way to it cut?"
        return _lines(f"{why} Wait until `kubectl get --raw /readyz` says ok. {_AGAIN}", is_write, attempts)
    if is_of_something_else(failure):
        what = (
            f"Something else than an API server answers at {server}: a proxy or load balancer on the way, or its login?"
        )
        return _lines(f"{what} {_AGAIN}" if was_accepted else what, is_write, attempts)
    if failure.status == 500 and (unknown := _UNKNOWN_FIELD.search(failure.text)):
        return f"{_about_a_definition(unknown['version'], unknown['kind'])} {_AGAIN}"
    if failure.status == 422 and _UNKNOWN_VALUE.search(failure.text):
        return (
            "So says the definition of databases in this cluster, as the operator that runs there has registered it. "
            "Does the set have a newer operator, too? Then apply the operator's manifest alone, and wait until it "
            f"runs. {_AGAIN}"
        )
    if failure.is_passing and _WEBHOOK in failure.text:
        # Nothing was written: that is what it is asked for.
        return (
            "That admission webhook of the cluster does not answer: see to its service (`kubectl get "
            f"validatingwebhookconfigurations,mutatingwebhookconfigurations` names it). {_AGAIN}"
        )
    if failure.is_passing:
        who = (
            "The API server is asked too much" if failure.status == 429 else "The API server, or its etcd, is not well"
        )
        return _lines(f"{who}: `kubectl get --raw /readyz?verbose` says more. {_AGAIN}", is_write, attempts)
    return ""


def _about_a_refusal(text: str, context: str) -> str:
    if "exceeded quota" in text or "failed quota" in text or "status unknown for quota" in text:
        return (
            "It is a ResourceQuota of the namespace that forbids it, and no permission: have it raised "
            f"(`kubectl get resourcequotas` there), or leave out what does not fit. {_AGAIN}"
        )
    if _TERMINATING in text:
        return (
            "The namespace is being deleted: wait until it is gone, then run the same command again; or leave out the "
            "manifests of what is in it."
        )
    if _OF_ADMISSION.search(text):
        return (
            "It is a rule of the cluster that forbids it, and no permission that is missing: whoever runs the cluster "
            "knows what it demands."
        )
    return (
        f"The user of context {context} needs that permission. `planton permissions WORK...` prints roles: "
        "docs/permissions.md names the works."
    )


def _about_size(failure: Failure, server: str) -> str:
    if failure.status == 413 and failure.reason != "RequestEntityTooLarge":
        return f"What stands between here and {server} takes no request of that size: a proxy, or a load balancer?"
    return (
        "It is larger than what a cluster keeps as one object, which is 1.5 MiB where nobody has set another limit for "
        "etcd: take something out of its manifest."
    )


def _about_a_definition(version: str, kind: str) -> str:
    if (version, kind) == _DATABASES:
        return (
            "The definition of databases in this cluster (CustomResourceDefinition postgresqls.acid.zalan.do) is of "
            "another version of the operator, usually of an older one, and does not have that field. The operator "
            "registers its own when it starts: apply the operator's manifest, and wait until it runs. One that may not "
            "(enable_crd_registration: false) leaves it to you: replace the definition by the one of its version."
        )
    return (
        f"{kind} of {version} has no such field in this cluster: is its API server older than others to which this is "
        "applied? Then it has to be upgraded."
    )


def _lines(text: str, is_write: bool, attempts: Attempts | None) -> str:
    unsure = is_write and attempts is not None and attempts.may_have_arrived
    return f"{text}\n{_MAYBE}" if unsure else text


def _about_credentials(failure: Failure, server: str, context: str, was_accepted: bool, problem: str) -> str:
    if failure.reason == "TLS":
        if not was_accepted:
            return (
                f"Is {server} the right cluster? Its certificate has to come from the authority in "
                "certificate-authority-data of the cluster in the kubeconfig, or in the file of certificate-authority."
            )
        return (
            f"{server} has answered before by a certificate that was trusted. Has the cluster another certificate "
            "authority now? Then get a new kubeconfig from whoever runs it, and run the same command again. If nobody "
            "knows of it, do not go on."
        )
    login = f"The credentials of context {context} are not accepted: log in again."
    if not was_accepted:
        return login
    read = f"they were read again: {problem}" if problem else "also not after they were read again"
    return f"The credentials of context {context} are not accepted any more ({read}): log in again. {_AGAIN}"
