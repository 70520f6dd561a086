"""One operator: the real program under the ServiceAccount of its Deployment, kept running as a kubelet would."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from sandbox import _keys
from sandbox._api import Api, Object, kubeconfig_text, service_account_token
from sandbox._errors import ApiError
from sandbox._folders import OPERATORS
from sandbox._processes import end, forget, spawn
from sandbox._recipes import OPERATOR_VERSION
from sandbox._rollout import Phase, State, fingerprint, replica_set

IMAGE = f"ghcr.io/zalando/postgres-operator:{OPERATOR_VERSION}"
"""The one image whose program the sandbox has."""

# The last line of the operator's start-up, written after it has read its configuration, registered the definition and
# listed the existing databases, each of which ends the process if it fails.
# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/controller/controller.go#L465
_READY_LINE = b"started working in background"

_TOKEN_SECONDS = 24 * 3600
_RENEW_SECONDS = _TOKEN_SECONDS / 2
_RETRY_SECONDS = 1.0
# The kubelet waits 10 s, doubling up to 5 min. Here the first wait matters most: the operator dies on its very first
# start, right after it has registered its definition, and works from the second one on.
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0
# By itself the operator asks ten times a second, for all databases together, and looks four seconds after its start
# whether its definition is there (postgres-operator v1.15.1, cmd/main.go). Here nobody has to be spared. A Deployment
# that says otherwise itself has the last word.
_HASTE = ("-kubeqps=500", "-kubeburst=1000")
_HASTY_ENVIRONMENT = {"CRD_READY_WAIT_INTERVAL": "100ms"}
# On SIGTERM the operator waits for its workers, which may be waiting for pods that never come here.
_GRACE_SECONDS = 1.0


class OperatorProcess:
    """The process of one Deployment with one pod template. A changed template is another `OperatorProcess`."""

    def __init__(
        self, api: Api, deployment: Object, *, program: Path, state: Path, connection: tuple[str, str]
    ) -> None:
        """Prepare; nothing runs before `tick`.

        Args:
            api: client with administrator's rights, for tokens only; the operator never sees its credentials.
            deployment: the Deployment.
            program: path of the operator program.
            state: state folder of the sandbox.
            connection: address of the API server and the certificates to trust.
        """
        self._api = api
        self._program = program
        self._operators = state / OPERATORS
        self._connection = connection
        self._namespace: str = deployment["metadata"]["namespace"]
        self._name: str = deployment["metadata"]["name"]
        self._replica_set = replica_set(deployment)
        self._pod: Object = deployment["spec"]["template"]["spec"]
        self._account: str = self._pod.get("serviceAccountName") or "default"
        self._folder = self._operators / f"{self._namespace}_{self._name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._log_position = 0
        self._next_start = 0.0
        self._wait = _FIRST_WAIT
        self._renew_at = 0.0
        self._obstacle: State | None = None
        self.identity = identity(deployment)

    @property
    def state(self) -> State:
        """What the Deployment's status should say."""
        if self._obstacle is not None:
            return self._obstacle
        return State(Phase.READY if self._ready else Phase.STARTING)

    def tick(self) -> None:
        """Start the process if it is time, notice its end, read its log for readiness, renew its token.

        Raises:
            OSError: if a file in the state folder cannot be written.
        """
        now = time.monotonic()
        if self._process is None:
            if now >= self._next_start:
                self._start(now)
        elif (code := self._process.poll()) is not None:
            self._remark(f"the operator ended with {code}; started again in {self._wait:.1f} s")
            forget(self._operators, self._process.pid)
            self._process, self._ready = None, False
            self._next_start = now + self._wait
            self._wait = min(self._wait * 2, _LONGEST_WAIT)
        else:
            self._look_for_readiness()
            if now >= self._renew_at:
                self._renew(now)

    def stop(self, *, grace: float = _GRACE_SECONDS) -> None:
        """End the process.

        Args:
            grace: seconds to end by itself after SIGTERM; 0 kills at once.
        """
        if self._process is not None:
            end(self._process, folder=self._operators, grace=grace)
            self._remark("the operator was stopped")
        self._process, self._ready = None, False

    def _start(self, now: float) -> None:
        self._obstacle = self._unrunnable()
        if self._obstacle is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._obstacle = self._write_credentials(now)
        if self._obstacle is not None:
            self._next_start = now + _RETRY_SECONDS
            return
        log = self._folder / "operator.log"
        self._remark(f"starting the operator as system:serviceaccount:{self._namespace}:{self._account}")
        self._log_position = log.stat().st_size
        container = self._pod["containers"][0]
        flags = ["-outofcluster", "-kubeconfig", str(self._folder / "kubeconfig"), *_HASTE]
        self._process = spawn(
            [str(self._program), *flags, *container.get("args", [])],
            folder=self._operators,
            log=log,
            cwd=self._folder,
            env=self._environment(container),
        )

    def _unrunnable(self) -> State | None:
        container = self._pod["containers"][0]
        image = container["image"]
        if image != IMAGE:
            message = f"The sandbox runs no containers; it has the program of {IMAGE} and of no other image: {image}"
            return State(Phase.UNRUNNABLE, "ImageNotInSandbox", message)
        odd = [entry["name"] for entry in container.get("env", []) if self._value(entry) is None]
        if odd or container.get("envFrom"):
            what = ", ".join(odd) or "envFrom"
            message = f"The sandbox sets environment variables from literal values and names only, not: {what}"
            return State(Phase.UNRUNNABLE, "EnvNotInSandbox", message)
        return None

    def _environment(self, container: Object) -> dict[str, str]:
        # Nothing of this process's own environment: the operator reads many variables.
        fixed = {"PATH": "/usr/bin:/bin", "HOME": str(self._folder), "TMPDIR": str(self._folder)}
        # In a pod the operator reads its namespace from a mounted file, which is not here.
        given = {entry["name"]: self._value(entry) or "" for entry in container.get("env", [])}
        return {**fixed, **_HASTY_ENVIRONMENT, "OPERATOR_NAMESPACE": self._namespace, **given}

    def _value(self, entry: Object) -> str | None:
        """Return the value of an environment entry; None if it comes from where the sandbox does not look."""
        source = entry.get("valueFrom")
        if not source:
            return str(entry.get("value", ""))
        known = {
            "metadata.name": self._replica_set,
            "metadata.namespace": self._namespace,
            "spec.serviceAccountName": self._account,
        }
        return known.get(source.get("fieldRef", {}).get("fieldPath", ""))

    def _write_credentials(self, now: float) -> State | None:
        try:
            token = service_account_token(self._api, self._namespace, self._account, seconds=_TOKEN_SECONDS)
        except ApiError as error:
            if error.status == 404:
                message = (
                    f'pods "{self._replica_set}-" is forbidden: error looking up service account'
                    f' {self._namespace}/{self._account}: serviceaccount "{self._account}" not found'
                )
                return State(Phase.NOT_CREATED, "FailedCreate", message)
            return State(Phase.STARTING)
        _keys.write_private(self._folder / "token", token)
        # The client library reads the file again every minute, so renewing needs no restart.
        user = {"tokenFile": str(self._folder / "token")}
        text = kubeconfig_text(*self._connection, user, name="sandbox", namespace=self._namespace)
        _keys.write_private(self._folder / "kubeconfig", text)
        self._renew_at = now + _RENEW_SECONDS
        return None

    def _renew(self, now: float) -> None:
        if self._write_credentials(now) is not None:
            self._renew_at = now + _RETRY_SECONDS

    def _look_for_readiness(self) -> None:
        if self._ready:
            return
        with (self._folder / "operator.log").open("rb") as log:
            log.seek(self._log_position)
            text = log.read()
        if _READY_LINE in text:
            self._ready, self._wait = True, _FIRST_WAIT
            return
        # The line may be half written: start the next look at the beginning of the last one.
        self._log_position += text.rfind(b"\n") + 1

    def _remark(self, text: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "operator.log").open("a", encoding="utf-8") as log:
            log.write(f"--- sandbox: {text} ---\n")


def identity(deployment: Object) -> tuple[str, str]:
    """Return what makes a new process necessary when it changes.

    Args:
        deployment: the object.

    Returns:
        The object's uid and the fingerprint of its pod template.
    """
    return deployment["metadata"]["uid"], fingerprint(deployment)
