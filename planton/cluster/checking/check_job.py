"""Whether the archive can be used from where the database runs: tried out by a short Job in its namespace.

The Job has the image, the account and the archive's variables of the database's own pods, taken out of its StatefulSet,
and makes of them what Spilo makes (4.0-p3 and 4.1, scripts/configure_spilo.py, section wal-e: a folder for envdir).
Then wal-g itself lists, writes, reads and deletes (v3.0.5 and v3.0.8, cmd/common/st; rm deletes by the same batch
request as retention). What it finds out comes back as the container's termination message.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from planton.catalogue.probe import CHECK_FOLDER, Finding
from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import EVENT, POD, STATEFUL_SET, Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.changes import ProgressEvent
from planton.cluster.patroni import CONTAINER
from planton.cluster.permissions.needed import check_job_of
from planton.cluster.wait import Deadline, Pending
from planton.errors import ClusterError, RefusedError
from planton.translate.contract import KubernetesObject

JOB = ResourceType("batch/v1", "Job", "jobs")

_LABEL = "planton.ai/check"
_PHASE = "check"
# A Job that planton could not delete goes by itself, in seconds.
_KEPT = 600
# Of the operator's own: what the pods have for other things than the archive, and the sources of clone and standby.
_NOT_OURS = re.compile(r"PGPASSWORD_|PGUSER_|CLONE_|STANDBY_|PAM_|LOG_")
_OF_ARCHIVE = re.compile(r"WAL|AWS_|GOOGLE_|AZURE_|SWIFT_|SSH_|(?i:https?|no)_proxy$")
# Volumes that hold no data: certificates, keys in files, and tokens of a cloud's identity.
_SMALL_VOLUMES = ("secret", "configMap", "projected", "downwardAPI")
# https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/images/types.go and pkg/kubelet/kuberuntime
# (kuberuntime_container.go): what no waiting mends within a check.
_NEVER_STARTS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
_CHECKS = ("settings", "readable", "writable", "read back", "deletable in a batch")
_LONGEST_TEXT = 400

# Each line: what was tried, `ok` or `failed`, and the last line of what wal-g says of it. The whole must stay below
# 4096 bytes (Kubernetes, terminationMessagePath).
SCRIPT = r"""
set -u
object=$1
report=${2:-/dev/termination-log}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '%s\t%s\t%s\n' "$1" "$2" "$(printf '%s' "$3" | tr '\t\n' '  ' | cut -c 1-400)" >> "$report"; }
last() { grep -E 'ERROR|WARNING|FATAL|rror' "$1" | tail -n 1 || true; }
folder=${WALG_ENV_DIR:-${WALE_ENV_DIR:-/run/etc/wal-e.d/env}}
python3 /scripts/configure_spilo.py wal-e > "$work/output" 2>&1
code=$?
if [ ! -d "$folder" ] || [ $code -ne 0 ]; then
    say settings failed "Spilo makes no archive of the variables (exit status $code): $(last "$work/output")"
    exit 0
fi
say settings ok ''
try() {
    name=$1
    shift
    # As cron does: what is not in the folder does not reach wal-g there either.
    env -i PATH="$PATH" timeout 60 envdir "$folder" wal-g "$@" > "$work/output" 2>&1
    code=$?
    [ $code -eq 0 ] && { say "$name" ok ''; return 0; }
    [ $code -eq 124 ] && { say "$name" failed 'no answer within 60 s'; return 1; }
    say "$name" failed "$(last "$work/output")"
    return 1
}
try readable st ls || exit 0
date > "$work/sent"
try writable st put "$work/sent" "$object" --no-compress || exit 0
try 'read back' st get "$object" "$work/back" --no-decompress &&
    { cmp -s "$work/sent" "$work/back" || say 'read back' failed 'it is not what was written'; }
try 'deletable in a batch' st rm "$object"
"""


def check_from_cluster(
    server: Server,
    namespace: str,
    name: str,
    *,
    timeout: float = 180.0,
    progress: Callable[[ProgressEvent], None] = lambda event: None,
    deadline: Deadline | None = None,
) -> tuple[Finding, ...]:
    """Tries the archive out from within the cluster, as the database's pods would.

    Args:
        server: The API server; its scrubber knows the credentials.
        namespace: Namespace of the database.
        name: Name of its custom resource.
        timeout: How long it may take, in seconds.
        progress: Is told what is waited for.
        deadline: Clock in place of one that starts now.

    Returns:
        What was tried, in order, and how it went.

    Raises:
        RefusedError: The database has no StatefulSet yet, from which its pods' settings could be taken.
        WaitError: The Job did not end in time.
        ClusterError: The Job could not run, with the reason, or the server refused.
    """
    key = Key(STATEFUL_SET, namespace, name)
    stateful_set = server.get(key)
    if stateful_set is None:
        raise RefusedError(
            [f"{key.subject} is not there: what its pods would have is not known yet. Check from here, without "
             "--from-cluster, or again after an apply"]
        )  # fmt: skip
    word = secrets.token_hex(5)
    job = Key(JOB, namespace, f"planton-check-{word}")
    check_job_of(server, job)
    made, _ = server.apply(job, check_job(stateful_set["spec"]["template"], job, word, seconds=int(timeout)))
    uid = str(made["metadata"]["uid"])
    ended: list[str] = []
    try:

        def look() -> list[Pending]:
            message, pending = _look(server, job, uid, word)
            if message is not None:
                ended.append(message)
            return pending

        (deadline or Deadline(timeout)).wait_for(look, lambda text: progress(ProgressEvent(_PHASE, 0, 0, text)))
    finally:
        try:
            server.delete(job, uid=uid)
        except ApiError as error:
            progress(ProgressEvent(_PHASE, 0, 0, f"{job.subject} stays for {_KEPT // 60} minutes: {error.text}"))
    return findings_in(ended[-1], server, object_key=f"{CHECK_FOLDER}{word}")


def check_job(template: Mapping[str, Any], job: Key, word: str, *, seconds: int) -> KubernetesObject:
    """Makes the Job.

    Args:
        template: Pod template of the database's StatefulSet; left as it is.
        job: Identity of the Job.
        word: What its pod is found by.
        seconds: How long it may run.

    Returns:
        The Job.
    """
    spec = template["spec"]
    postgres = next(one for one in spec["containers"] if one.get("name") == CONTAINER)
    volumes = [one for one in spec.get("volumes") or () if any(kind in one for kind in _SMALL_VOLUMES)]
    names = {one["name"] for one in volumes}
    container: KubernetesObject = {
        "name": _PHASE,
        "image": postgres["image"],
        "command": ["/bin/bash", "-c", SCRIPT, "planton", f"{CHECK_FOLDER}{word}"],
        "env": [dict(one) for one in postgres.get("env") or () if _is_needed(one)],
        "volumeMounts": [dict(one) for one in postgres.get("volumeMounts") or () if one["name"] in names],
        # A quota may demand both.
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "512Mi"},
        },
    }
    for part in ("envFrom", "imagePullPolicy", "securityContext"):
        if part in postgres:
            container[part] = postgres[part]
    pod: KubernetesObject = {
        "restartPolicy": "Never",
        # The identity of a cloud does not need it, and nothing else here speaks to the API server.
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [dict(one) for one in volumes],
    }
    # Where and as whom the database's pods run: their network, their rights, their cloud identity.
    for part in (
        "serviceAccountName",
        "securityContext",
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "dnsConfig",
    ):
        if part in spec:
            pod[part] = spec[part]
    labels = {"app.kubernetes.io/managed-by": "planton", _LABEL: word}
    # Network policies choose pods by labels; these two make no Service and no Patroni take it for a database's pod.
    theirs = (template.get("metadata") or {}).get("labels") or {}
    own = {name: value for name, value in theirs.items() if name.startswith(("planton.ai/", "app"))}
    own.pop("application", None)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, "namespace": job.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(seconds, 1),
            "ttlSecondsAfterFinished": _KEPT,
            "template": {"metadata": {"labels": own | labels}, "spec": pod},
        },
    }


def _is_needed(entry: Mapping[str, Any]) -> bool:
    name = str(entry.get("name", ""))
    if _NOT_OURS.match(name):
        return False
    is_secret = "secretKeyRef" in (entry.get("valueFrom") or {})
    return not is_secret or _OF_ARCHIVE.search(name) is not None


def _look(server: Server, job: Key, uid: str, word: str) -> tuple[str | None, list[Pending]]:
    """Gives the message with which its container ended, else what is waited for."""
    pods = server.list(POD, job.namespace, labels=f"{_LABEL}={word}") or []
    for pod in pods:
        status = pod.get("status") or {}
        for one in status.get("containerStatuses") or ():
            state = one.get("state") or {}
            ended, waiting = state.get("terminated"), state.get("waiting") or {}
            if ended is not None:
                return _message(server, job, ended), []
            if waiting.get("reason") in _NEVER_STARTS:
                text = f"its pod cannot start ({waiting['reason']}): {waiting.get('message') or 'no reason given'}"
                raise _cannot_run(server, job, text)
        scheduled: Mapping[str, Any] = next(
            (one for one in status.get("conditions") or () if one.get("type") == "PodScheduled"), {}
        )
        why = ""
        if scheduled.get("status") == "False":
            why = f", not scheduled: {server.shown(str(scheduled.get('message') or ''))}"
        return None, [Pending(f"{job.subject}: its pod is {status.get('phase') or 'made'}{why}")]
    live = server.get(job)
    if live is None:
        raise _cannot_run(server, job, "somebody has deleted it")
    conditions = (live.get("status") or {}).get("conditions") or ()
    failed = next((one for one in conditions if one.get("type") == "Failed" and one.get("status") == "True"), None)
    if failed is not None:
        raise _cannot_run(server, job, f"it failed ({failed.get('reason')})")
    refused = _refusal(server, job, uid)
    if refused:
        raise _cannot_run(server, job, f"it is not allowed a pod: {refused}")
    return None, [Pending(f"{job.subject}: it has no pod yet")]


def _refusal(server: Server, job: Key, uid: str) -> str:
    """Reads why no pod was admitted: quotas, pod security, webhooks. Only events say it."""
    try:
        events = server.list(EVENT, job.namespace, fields=f"involvedObject.uid={uid},type=Warning") or []
    except ApiError as error:
        if error.status != 403:
            raise
        return ""
    return next((str(one.get("message") or "") for one in events if one.get("reason") == "FailedCreate"), "")


def _message(server: Server, job: Key, ended: Mapping[str, Any]) -> str:
    message = str(ended.get("message") or "")
    if not message:
        raise _cannot_run(
            server, job, f"it ended with {ended.get('exitCode')} ({ended.get('reason')}) and has said nothing"
        )
    return message


def _cannot_run(server: Server, job: Key, text: str) -> ClusterError:
    return ClusterError(
        server.shown(text),
        subject=job.subject,
        phase=_PHASE,
        remedy="It says nothing of the archive. The database's own pods have the same image, account and limits.",
    )


def findings_in(message: str, server: Server, *, object_key: str) -> tuple[Finding, ...]:
    """Reads what the script says.

    Args:
        message: The container's termination message.
        server: Whose scrubber knows the credentials.
        object_key: Key of the object that it writes, below the archive's prefix.

    Returns:
        One finding for each check, those that it did not come to as `not tried`.
    """
    said: dict[str, tuple[str, str]] = {}
    for line in message.splitlines():
        check, _, rest = line.partition("\t")
        outcome, _, text = rest.partition("\t")
        if check in _CHECKS and outcome in ("ok", "failed"):
            said[check] = outcome, server.shown(text.strip())[:_LONGEST_TEXT]
    findings = []
    for check in _CHECKS:
        outcome, text = said.get(check, ("not tried", ""))
        if outcome == "ok":
            findings.append(Finding(check, "ok", "from within the cluster"))
        elif outcome == "failed":
            remedy = (
                "Compare with planton check from here: what fails only there is the pods' network, proxy or identity."
            )
            findings.append(Finding(check, "failed", text or "wal-g says nothing of the reason", remedy))
        else:
            findings.append(Finding(check, "not tried", "what comes before it failed"))
    # wal-g may have written also what it got no answer to.
    if "writable" in said and (one := findings[-1]).outcome != "ok":
        left = f"{object_key} may still be there, below the archive's prefix: delete it by hand."
        findings[-1] = replace(one, remedy=f"{one.remedy} {left}".strip())
    return tuple(findings)
