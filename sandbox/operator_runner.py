"""Run operators where Deployments ask for them: ``python -m sandbox.operator_runner STATE_FOLDER PROGRAM``.

It stands for the three parts of a cluster that do not run here (Deployment controller, scheduler, kubelet), for one
kind of Deployment: those labelled ``app.kubernetes.io/name=postgres-operator``, in any namespace. Each gets the real
operator program under its own ServiceAccount and with its own environment, so the rights and the configuration that are
applied are the ones that are tried. It talks to the API server as the sandbox's keeper; the operators do not.

It ends on SIGTERM together with its operators. Anything unexpected ends it with a traceback, which its keeper reports.
"""

from __future__ import annotations

import base64
import datetime
import queue
import signal
import sys
from pathlib import Path
from types import FrameType

import yaml

from sandbox._api import Api, Object
from sandbox._errors import ApiError
from sandbox._operator_process import OperatorProcess, identity
from sandbox._rollout import Phase, State, status, status_patch, wanted_replicas
from sandbox._watch import Follower

_TICK_SECONDS = 0.1
_DEPLOYMENTS = "/apis/apps/v1/deployments"
_SELECTOR = "app.kubernetes.io%2Fname%3Dpostgres-operator"
# The manager that a real cluster's status carries in managedFields.
_MANAGER = "kube-controller-manager"
_FOREGROUND = "foregroundDeletion"


class Runner:
    """All Deployments of operators and their processes."""

    def __init__(self, state: Path, program: Path) -> None:
        """Prepare; nothing runs before `run`.

        Args:
            state: state folder of the sandbox.
            program: path of the operator program.

        Raises:
            SandboxError: if the sandbox's kubeconfig cannot be read.
        """
        kubeconfig = state / "keeper.kubeconfig"
        self._api = Api.from_kubeconfig(kubeconfig)
        cluster = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["clusters"][0]["cluster"]
        self._connection = (cluster["server"], base64.b64decode(cluster["certificate-authority-data"]).decode())
        self._state = state
        self._program = program
        self._deployments: dict[str, Object] = {}
        self._processes: dict[str, OperatorProcess] = {}
        self._ending = False

    def end_soon(self) -> None:
        """Let `run` return after its present step; may be called from a signal handler."""
        self._ending = True

    def run(self) -> None:
        """Follow the Deployments until the process is told to end.

        Raises:
            BaseException: whatever ended the thread that follows them.
        """
        follower = Follower(self._api, _DEPLOYMENTS, _SELECTOR)
        follower.start()
        while not self._ending:
            try:
                snapshot = follower.snapshots.get(timeout=_TICK_SECONDS)
                # Only the newest matters.
                while isinstance(snapshot, dict) and not follower.snapshots.empty():
                    snapshot = follower.snapshots.get()
            except queue.Empty:
                snapshot = self._deployments
            if isinstance(snapshot, BaseException):
                raise snapshot
            self._deployments = {uid: self._newest(uid, deployment) for uid, deployment in snapshot.items()}
            self._reconcile()

    def stop(self) -> None:
        """Kill every operator."""
        for process in self._processes.values():
            process.stop(grace=0)
        self._processes.clear()

    def _newest(self, uid: str, deployment: Object) -> Object:
        """Return the object as the last write left it, where the list does not have that yet."""
        known = self._deployments.get(uid, deployment)
        versions = [int(item["metadata"]["resourceVersion"]) for item in (known, deployment)]
        return known if versions[0] > versions[1] else deployment

    def _reconcile(self) -> None:
        for uid in self._processes.keys() - self._deployments.keys():
            self._processes.pop(uid).stop()
        for uid, deployment in self._deployments.items():
            if "deletionTimestamp" in deployment["metadata"]:
                self._let_go(uid, deployment)
            else:
                self._report(deployment, self._advance(uid, deployment))

    def _advance(self, uid: str, deployment: Object) -> State:
        """Bring the process of a Deployment one step closer to what is asked for."""
        process = self._processes.get(uid)
        if process is not None and (process.identity != identity(deployment) or not wanted_replicas(deployment)):
            process.stop()
            del self._processes[uid]
            process = None
        if not wanted_replicas(deployment):
            return State(Phase.ABSENT)
        if process is None:
            process = OperatorProcess(
                self._api, deployment, program=self._program, state=self._state, connection=self._connection
            )
            self._processes[uid] = process
        process.tick()
        return process.state

    def _let_go(self, uid: str, deployment: Object) -> None:
        """Do for a deleted Deployment what the garbage collector does: let a foreground deletion finish."""
        if uid in self._processes:
            self._processes.pop(uid).stop()
        metadata = deployment["metadata"]
        if _FOREGROUND in metadata.get("finalizers", []):
            left = [finalizer for finalizer in metadata["finalizers"] if finalizer != _FOREGROUND]
            self._patch(deployment, {"metadata": {"finalizers": left or None}})

    def _report(self, deployment: Object, state: State) -> None:
        new = status(deployment, state, datetime.datetime.now(datetime.UTC))
        patch = status_patch(new)
        if patch != {key: deployment.get("status", {}).get(key) for key in patch}:
            self._patch(deployment, {"status": patch}, "/status")

    def _patch(self, deployment: Object, patch: Object, subresource: str = "") -> None:
        metadata = deployment["metadata"]
        path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{metadata['name']}{subresource}"
        # With the uid the server refuses the patch for a namesake that was made meanwhile.
        body = {**patch, "metadata": {**patch.get("metadata", {}), "uid": metadata["uid"]}}
        try:
            answer = self._api.request(
                "PATCH", f"{path}?fieldManager={_MANAGER}", body, content_type="application/merge-patch+json"
            )
        except ApiError:
            # Gone, replaced, or the server is restarting: the next snapshot shows, and this is tried again.
            return
        self._deployments[metadata["uid"]] = answer


def main(arguments: list[str]) -> int:
    """Run until SIGTERM.

    Args:
        arguments: state folder and path of the operator program.

    Returns:
        Exit code 0; anything else is an exception.
    """
    runner = Runner(Path(arguments[0]), Path(arguments[1]))

    def end(_number: int, _frame: FrameType | None) -> None:
        runner.end_soon()

    signal.signal(signal.SIGTERM, end)
    try:
        runner.run()
    finally:
        runner.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
