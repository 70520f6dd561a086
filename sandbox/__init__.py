"""A real Kubernetes control plane on loopback: kube-apiserver, etcd and the Postgres operator, without containers.

    from sandbox import Sandbox

    with Sandbox.start() as sandbox:
        print(sandbox.kubeconfig)

By hand: ``python -m sandbox --help``.
"""

from sandbox._errors import ApiError, BuildError, SandboxError
from sandbox._sandbox import Sandbox

__all__ = ["ApiError", "BuildError", "Sandbox", "SandboxError"]
