"""Messages -> Kubernetes objects: prepare, translate, put in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, overload

from planton.collector import Uncollected
from planton.errors import ManifestError, Origin, Problem
from planton.manifest import Manifests, prepare
from planton.manifest._load import prepared
from planton.translate.collect import collect, in_force
from planton.translate.contract import KubernetesObject
from planton.translate.existing import Existing
from planton.translate.live_checks import Placed
from planton.translate.names import namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.secret_values import SecretData
from planton.translate.set_checks import check_set
from planton.types import PostgresKubernetes, Resource

if TYPE_CHECKING:
    from planton.translate.variables import Variable


class Rendering(Sequence[KubernetesObject]):
    """Kubernetes objects in the order in which they are applied, with what is worth saying about them.

    Secrets among them hold real values, which do not stand in any `repr` but in what is made of it in other ways: show
    a rendering by `planton render`, which masks them.

    Attributes:
        manifests: The messages with their defaults filled.
        platform: The backup platform in force, or None without operator-level backups.
        warnings: What is worth saying.
    """

    __slots__ = ("_objects", "manifests", "platform", "warnings")

    def __init__(
        self,
        objects: Sequence[KubernetesObject],
        manifests: Manifests,
        platform: BackupPlatform | None,
        warnings: Sequence[Problem],
    ) -> None:
        """Makes the rendering.

        Args:
            objects: Objects in their order.
            manifests: The messages with their defaults filled.
            platform: The backup platform in force.
            warnings: What is worth saying.
        """
        self._objects = tuple(
            {**one, "data": SecretData(one["data"])}
            if one["kind"] == "Secret" and "data" in one and type(one["data"]) is not SecretData
            else one
            for one in objects
        )
        self.manifests = manifests
        self.platform = platform
        self.warnings = tuple(warnings)

    @overload
    def __getitem__(self, index: int) -> KubernetesObject: ...
    @overload
    def __getitem__(self, index: slice) -> Rendering: ...
    def __getitem__(self, index: int | slice) -> KubernetesObject | Rendering:
        """Gives an object by its place, or a part of the rendering."""
        if isinstance(index, slice):
            return Rendering(self._objects[index], self.manifests, self.platform, self.warnings)
        return self._objects[index]

    def __len__(self) -> int:
        """Counts the objects."""
        return len(self._objects)

    def __repr__(self) -> str:
        """Counts the objects and shows none."""
        return f"<Rendering: {len(self)} objects, {len(self.warnings)} warnings>"


def render(
    manifests: Iterable[Resource],
    platform: BackupPlatform | None = None,
    existing: Existing | None = None,
) -> Rendering:
    """Turns messages into Kubernetes objects. Needs no cluster, and never changes its input.

    Args:
        manifests: Messages, as `planton.load` gives them or made in Python.
        platform: Backup platform of the operator that runs the databases, where its manifest is not among them.
        existing: Facts that only a cluster knows; nothing is assumed without them.

    Returns:
        The objects in the order in which they are applied.

    Raises:
        ManifestError: The messages cannot be used; it holds all problems at once.
    """
    with Uncollected():
        filled, reading = prepared(manifests)
        collected = collect(reading, filled.origins, platform, existing or Existing())
        if collected.errors:
            raise ManifestError(located(collected.errors, filled))
        return Rendering(collected.objects, filled, collected.platform, located(collected.warnings, filled))


def validate(
    manifests: Iterable[Resource],
    platform: BackupPlatform | None = None,
    existing: Existing | None = None,
) -> tuple[Problem, ...]:
    """Checks messages, one by one and as a set.

    Args:
        manifests: Messages, as `planton.load` gives them or made in Python.
        platform: Backup platform of the operator that runs the databases, where its manifest is not among them.
        existing: Facts that only a cluster knows.

    Returns:
        What is worth saying about them.

    Raises:
        ManifestError: The messages cannot be used; it holds all problems at once.
    """
    return render(manifests, platform, existing).warnings


def problems_among(right: Manifests, wrong: Sequence[Problem]) -> list[Problem]:
    """Finds what is wrong together with those messages of a set that are right by themselves.

    Args:
        right: Those messages.
        wrong: What is wrong with the others, at least one thing.

    Returns:
        What is wrong in any case, whatever the others will say once they are right.
    """
    with Uncollected():
        filled, reading = prepared(right)
        if all(problem.subject.startswith("PostgresKubernetes/") for problem in wrong):
            found = collect(reading, filled.origins, None, Existing()).errors
            # The database from which one starts may be one of the others.
            found = tuple(one for one in found if not one.path.startswith(("spec.clone", "spec.standby")))
        else:
            # One of the others may be the operator, from which follows where databases archive.
            placed = [Placed(message, origin) for message, origin in zip(reading, filled.origins, strict=True)]
            found = tuple(check_set(placed, {}, None, Existing())[0])
        return located(found, filled)


def environment(
    manifests: Iterable[Resource],
    name: str,
    *,
    namespace: str | None = None,
    platform: BackupPlatform | None = None,
    existing: Existing | None = None,
) -> list[Variable]:
    """Computes the backup environment of one database's pods, as the operator will make it.

    Args:
        manifests: Messages, with the operator among them where there is one.
        name: metadata.name of the database.
        namespace: Its namespace, where several databases have that name.
        platform: Backup platform of the operator that runs the databases, where its manifest is not among them.
        existing: Facts that only a cluster knows.

    Returns:
        The variables, sorted by name; never the value of a Secret.

    Raises:
        ManifestError: The messages cannot be used, or hold no such database, or several.
    """
    prepared = prepare(manifests)
    existing = existing or Existing()
    found = find_message(prepared, name, namespace)
    platform, existing = in_force(prepared, platform, existing)
    # Imported here, and only what `render` does not need: how long its start takes counts.
    from planton.translate.environment import environment as translate_environment

    return translate_environment(found, platform, existing)


def find_message(messages: Sequence[Resource], name: str, namespace: str | None) -> PostgresKubernetes:
    """Finds a database of manifests.

    Args:
        messages: The set.
        name: Its metadata.name.
        namespace: Its namespace, where several have that name.

    Returns:
        The database.

    Raises:
        ManifestError: There is none of that name, or there are several.
    """
    databases = [message for message in messages if isinstance(message, PostgresKubernetes)]
    found = [
        message for message in databases if message.metadata.name == name and namespace in (None, namespace_of(message))
    ]
    if len(found) != 1:
        raise ManifestError([_not_one(name, namespace, found, databases)])
    return found[0]


def _not_one(
    name: str,
    namespace: str | None,
    found: Sequence[PostgresKubernetes],
    databases: Sequence[PostgresKubernetes],
) -> Problem:
    where = f" in namespace {namespace}" if namespace else ""
    subject = f"PostgresKubernetes/{name}"
    if found:
        spaces = ", ".join(sorted(namespace_of(message) for message in found))
        return Problem(f"several databases have this name; say which namespace: {spaces}", subject=subject)
    from difflib import get_close_matches

    near = get_close_matches(name, [message.metadata.name for message in databases], n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return Problem(f"no database of this name{where} is in these manifests{hint}", subject=subject)


def located(problems: Sequence[Problem], manifests: Manifests) -> list[Problem]:
    """Puts the line of its field into each problem that comes from a file.

    Args:
        problems: Problems of the set.
        manifests: The set.

    Returns:
        The problems in their order.
    """
    if not problems:
        return []
    indexes = {origin: index for index, origin in enumerate(manifests.origins) if origin.file}
    located = []
    for problem in problems:
        origin = problem.origin
        index = indexes.get(origin)
        line = manifests.line(index, problem.path) if index is not None else 0
        if line:
            origin = Origin(origin.file, origin.document, line)
            problem = Problem(problem.message, problem.path, origin, problem.subject)
        located.append(problem)
    return located
