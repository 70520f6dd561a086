"""What is built, from which modules and with which settings.

Everything here goes into the cache key, so a change of a recipe rebuilds that program and no other.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

MODULES = Path(__file__).resolve().parent / "modules"

KUBERNETES_VERSION = "v1.36.3"
ETCD_VERSION = "v3.6.16"
OPERATOR_VERSION = "v1.15.1"
VERSITYGW_VERSION = "v1.8.0"
HELM_VERSION = "v3.22.0"

_VERSION_PACKAGE = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".")


@dataclasses.dataclass(frozen=True)
class Replacement:
    """One expression of an upstream file that is replaced while building.

    Attributes:
        module: module path that holds the file.
        file: path of the file inside of the module.
        old: text that must occur exactly once.
        new: text that stands in its place.
    """

    module: str
    file: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one program is built.

    Attributes:
        name: file name of the program.
        version: release that the module file pins; a test compares the two.
        folder: folder under ``modules/`` whose go.mod and go.sum pin every dependency.
        package: Go package with the main function.
        minutes: rough duration of the first build on two cores, for the progress line.
        ldflags: flags for Go's linker. ``-s -w`` leaves out debug data, a third of the size.
        replacements: changes of upstream sources, made at build time.
    """

    name: str
    version: str
    folder: str
    package: str
    minutes: int
    ldflags: str = "-s -w"
    replacements: tuple[Replacement, ...] = ()


ETCD = Recipe(
    name="etcd",
    version=ETCD_VERSION,
    folder="etcd",
    package="go.etcd.io/etcd/server/v3",
    minutes=1,
)

API_SERVER = Recipe(
    name="kube-apiserver",
    version=KUBERNETES_VERSION,
    folder="kubernetes",
    package="k8s.io/kubernetes/cmd/kube-apiserver",
    minutes=5,
    # Without these the server calls itself v0.0.0 and clients that compare versions refuse it.
    ldflags=(
        f"-s -w -X {_VERSION_PACKAGE}.gitVersion={KUBERNETES_VERSION}"
        f" -X {_VERSION_PACKAGE}.gitMajor={_MAJOR} -X {_VERSION_PACKAGE}.gitMinor={_MINOR}"
    ),
)

OPERATOR = Recipe(
    name="postgres-operator",
    version=OPERATOR_VERSION,
    folder="operator",
    package="github.com/zalando/postgres-operator/cmd",
    minutes=2,
    ldflags=f"-s -w -X main.version={OPERATOR_VERSION}",
    replacements=(
        # The operator's debugging server binds its port on every interface, without authentication, and the
        # operator dies when the port is taken. In a pod that is the pod's own network; on a developer's machine it
        # would face the network and allow one sandbox at a time. No setting names an address, so that one
        # expression is replaced: loopback, any free port. Nothing else of the operator differs from the release.
        # https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/apiserver/apiserver.go#L95
        Replacement(
            module="github.com/zalando/postgres-operator",
            file="pkg/apiserver/apiserver.go",
            old='fmt.Sprintf(":%d", port)',
            new='"127.0.0.1:0"',
        ),
    ),
)

ALL = (ETCD, OPERATOR, API_SERVER)

# Beside the control plane and not a part of it: only tests of backups start it, so a sandbox does not wait for it.
VERSITYGW = Recipe(
    name="versitygw",
    version=VERSITYGW_VERSION,
    folder="versitygw",
    package="github.com/versity/versitygw/cmd/versitygw",
    minutes=1,
)

# Only the benchmarks run these two, to have something to be measured beside.
KUBECTL = Recipe(
    name="kubectl",
    version=KUBERNETES_VERSION,
    folder="kubectl",
    package="k8s.io/kubernetes/cmd/kubectl",
    minutes=1,
    ldflags=API_SERVER.ldflags,
)

HELM = Recipe(
    name="helm",
    version=HELM_VERSION,
    folder="helm",
    package="helm.sh/helm/v3/cmd/helm",
    minutes=2,
)
