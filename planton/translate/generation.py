"""The generation of credentials: a number that goes up when they change, so that the operator restarts the pods.

A variable that refers to a Secret does not change when the Secret does, and pods keep the old value until they
restart. The operator restarts them when their environment changes (postgres-operator v1.15.1,
pkg/cluster/cluster.go, compareStatefulSetWith). So a number stands beside the credentials. It is counted, and says
nothing about them. It stands on the Secret, in one request with the data, and is told to the pods only after every copy
of the Secret is written: whoever is killed in between finds it there and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

from planton.translate.existing import Existing
from planton.translate.secret_values import Credentials

GENERATION = "PLANTON_CREDENTIALS_GENERATION"
"""Variable of every database's pods, by the backup ConfigMap. Spilo and wal-g do not read it."""
DATABASE_GENERATION = "PLANTON_DATABASE_CREDENTIALS_GENERATION"
"""Variable of the pods of a database that has credentials of its own."""
STANDBY_GENERATION = "STANDBY_PLANTON_CREDENTIALS_GENERATION"
"""Variable of the pods of a standby that has a Secret of its own for its source: wal-g reads the keys at the start of a
container there, too. It stays after the promotion with all others of that beginning: it must not restart the pods."""
GENERATIONS = (GENERATION, DATABASE_GENERATION, STANDBY_GENERATION)
IDENTITY = "PLANTON_CLOUD_IDENTITY"
"""Variable of every database's pods: the annotations by which a cloud knows them. A cloud puts what follows from them
into a pod when it is created, and the operator restarts no pod for an annotation: so they stand in its environment."""


def generation_of(existing: Existing, namespace: str, name: str, wanted: Credentials, told: int) -> int:
    """Counts the generation that a Secret with credentials will have.

    Args:
        existing: Facts of the cluster.
        namespace: Namespace of the Secret.
        name: Its name.
        wanted: What it will hold.
        told: The generation that the pods are told now; 0 for none.

    Returns:
        0 as long as the credentials have never changed.
    """
    if (namespace, name) not in existing.secrets:
        return told
    live = existing.secrets[namespace, name]
    if live is None:
        # It is made anew. What the pods have came from one that is lost, and may have been another.
        return told + 1 if told else 0
    if wanted.unresolved:
        return max(live.generation, told)
    # Behind what the pods were told it is only when somebody wrote over it, and with what they started nobody knows.
    if live.values == wanted and live.generation >= told:
        return live.generation
    return max(live.generation, told) + 1


def generations_of(existing: Existing, namespace: str, secrets: Mapping[str, Credentials], told: int) -> dict[str, int]:
    """Counts the generations of several Secrets of which the pods are told by one number.

    Args:
        existing: Facts of the cluster.
        namespace: Namespace of the Secrets.
        secrets: Name of each -> what it will hold.
        told: The generation that the pods are told now; 0 for none.

    Returns:
        Name -> generation, of those whose credentials have ever changed.
    """
    counted = {name: generation_of(existing, namespace, name, one, told) for name, one in secrets.items()}
    return {name: generation for name, generation in counted.items() if generation}


def told_generation(text: str | None) -> int:
    """Reads a generation.

    Args:
        text: Value of the variable or of the annotation.

    Returns:
        The number; 0 for what is none.
    """
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 9 else 0
