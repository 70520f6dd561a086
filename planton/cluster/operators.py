"""Which Deployments of a cluster run the Zalando operator."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from planton.cluster.api.resources import CONFIG_MAP, DEPLOYMENT, Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.ownership import is_ours, labels_of
from planton.translate.names import OPERATOR


@dataclass(frozen=True, slots=True)
class LiveOperator:
    """A Deployment that runs the operator.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        version: Version from the tag of its image, such as `1.15.1`; empty when the tag says none.
        configuration: `namespace/name` of its configuration ConfigMap; empty when it is configured otherwise.
        configuration_object: Name of its OperatorConfiguration in its namespace; empty when it has none.
        available: Number of its available replicas.
        wanted: Number of replicas that it shall have.
        ours: Whether planton made it.
    """

    namespace: str
    name: str
    version: str
    configuration: str
    configuration_object: str
    available: int
    wanted: int
    ours: bool

    @property
    def subject(self) -> str:
        """`Deployment/namespace/name`."""
        return f"Deployment/{self.namespace}/{self.name}"


_CONFIGURATION = ResourceType("acid.zalan.do/v1", "OperatorConfiguration", "operatorconfigurations")
_VERSION = re.compile(r":v?(\d+\.\d+\.\d+)", re.ASCII)
# CrunchyData's operator has an image of the same name and other custom resources.
_OTHERS = ("crunchydata",)


def _runs_operator(image: str) -> bool:
    repository = image.partition("@")[0]
    repository = repository.rpartition(":")[0] if ":" in repository.rpartition("/")[2] else repository
    return repository.rpartition("/")[2] == OPERATOR and not any(other in repository for other in _OTHERS)


def brings_definition(key: Key, desired: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Tells whether writing an object starts another version of the operator, which registers its own CRD.

    Args:
        key: Identity of the object.
        desired: What is written.
        live: What is there; None for nothing, where a CRD of an operator that was removed may be left.

    Returns:
        True for a Deployment of the operator that is new or has another version; by its image where that says none.
    """
    if not is_operator(key) or live is None:
        return is_operator(key)
    return _release(desired) != _release(live)


def _release(deployment: Mapping[str, Any]) -> str:
    """The version of the operator in a Deployment, or its image where that says none."""
    containers = (deployment["spec"]["template"].get("spec") or {}).get("containers") or ()
    images = [str(one.get("image", "")) for one in containers]
    image = next(filter(_runs_operator, images), "".join(images[:1]))
    version = _VERSION.search(image)
    return version[1] if version else image


def _operator(deployment: Mapping[str, Any]) -> LiveOperator | None:
    spec = deployment["spec"]["template"].get("spec") or {}
    containers = spec.get("containers") or ()
    running = [one for one in containers if _runs_operator(str(one.get("image", "")))]
    labelled = labels_of(deployment).get("app.kubernetes.io/name") == OPERATOR
    if not running and not (labelled and not any(other in str(containers) for other in _OTHERS)):
        return None
    container = (running or list(containers))[0]
    version = _VERSION.search(str(container.get("image", "")))
    env = {one.get("name"): one.get("value") for one in container.get("env") or ()}
    by_object = str(env.get("POSTGRES_OPERATOR_CONFIGURATION_OBJECT") or "")
    metadata = deployment["metadata"]
    namespace = str(metadata["namespace"])
    by_map = str(env.get("CONFIG_MAP_NAME") or "")
    return LiveOperator(
        namespace=namespace,
        name=str(metadata["name"]),
        version=version[1] if version else "",
        # The object wins over the map: cmd/main.go and pkg/controller/controller.go of the operator, v1.15.1.
        configuration="" if by_object or not by_map else by_map if "/" in by_map else f"{namespace}/{by_map}",
        configuration_object=by_object,
        available=int((deployment.get("status") or {}).get("availableReplicas") or 0),
        wanted=int(deployment["spec"].get("replicas", 1)),
        ours=is_ours(deployment),
    )


def is_operator(key: Key) -> bool:
    """Tells whether an object is the Deployment of an operator that planton makes.

    Args:
        key: Its identity.

    Returns:
        True when it is.
    """
    return key.resource is DEPLOYMENT and key.name == OPERATOR


def operators_in(deployments: Iterable[Mapping[str, Any]]) -> tuple[LiveOperator, ...]:
    """Finds the Deployments that run the operator.

    Args:
        deployments: All Deployments of the cluster.

    Returns:
        Those that run it, sorted by namespace and name.
    """
    found = (_operator(one) for one in deployments)
    return tuple(sorted((one for one in found if one), key=lambda one: (one.namespace, one.name)))


def read_settings(server: Server, operator: LiveOperator) -> dict[str, str]:
    """Reads what an operator is told, by either of its two ways.

    Args:
        server: The API server.
        operator: The operator.

    Returns:
        Setting -> value as text; empty when nothing is told.

    Raises:
        ClusterError: The server refused.
    """
    if operator.configuration:
        namespace, _, name = operator.configuration.partition("/")
        found = server.get(Key(CONFIG_MAP, namespace, name))
        return {str(key): str(value) for key, value in ((found or {}).get("data") or {}).items()}
    if not operator.configuration_object:
        return {}
    found = server.get(Key(_CONFIGURATION, operator.namespace, operator.configuration_object))
    tree = (found or {}).get("configuration") or {}
    # Its settings stand in groups, such as `kubernetes`, under the names that they have in the ConfigMap.
    groups = [tree, *(group for group in tree.values() if isinstance(group, Mapping))]
    settings = {
        str(key): str(value)
        for group in groups
        for key, value in group.items()
        if isinstance(value, (str, int, float, bool))
    }
    # Labels and policies are maps there, and text such as `a:b,c:d` in the ConfigMap.
    for group in groups[1:]:
        for key, value in group.items():
            if isinstance(value, Mapping):
                settings[str(key)] = ",".join(f"{one}:{other}" for one, other in value.items())
    return settings


def is_true(value: str) -> bool:
    """Reads a switch as the operator does.

    https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/config/util.go (strconv.ParseBool)

    Args:
        value: Text of a setting.

    Returns:
        True when it is on.
    """
    return value in ("1", "t", "T", "true", "TRUE", "True")
