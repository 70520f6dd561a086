"""Manifests -> a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from planton.cluster.api.connection import Connection
from planton.cluster.api.resources import SERVICE
from planton.cluster.api.server import Server
from planton.cluster.changes import Plan, PlanOptions, Progress, ProgressEvent
from planton.cluster.permissions.advice import advised, operator_in, works_of_plan
from planton.cluster.permissions.withheld import plan_permitted
from planton.cluster.planning import admission
from planton.cluster.planning.ahead import LIST_FROM, Ahead
from planton.cluster.planning.facts import Facts, facts_in_force
from planton.cluster.planning.ingress import OF_DATABASES
from planton.cluster.planning.inventory import read_inventory
from planton.cluster.planning.planning import plan_set
from planton.cluster.planning.references import resolve
from planton.cluster.planning.refresh import Refresh
from planton.collector import Uncollected
from planton.manifest import Manifests
from planton.rendering import render
from planton.translate.archive_sources import wanted_sources
from planton.translate.database_facts import source_message
from planton.translate.names import GENERATION_ANNOTATION
from planton.translate.secret_fields import secret_places
from planton.types import PostgresKubernetes, Resource


def plan_manifests(
    connection: Connection, messages: Manifests, options: PlanOptions, progress: Progress, ahead: Ahead
) -> Plan:
    """Compares manifests with a cluster. Writes nothing.

    Args:
        connection: The cluster.
        messages: The set, with its defaults filled.
        options: What is meant and allowed.
        progress: Is told where the work has got to.
        ahead: Lists that were begun.

    Returns:
        The plan.

    Raises:
        ManifestError: The manifests cannot be used.
        RefusedError: Something must not be done, or not without an explicit word.
        ConflictError: Others own fields or objects of the set.
        ClusterError: The server refused something, or could not be reached.
    """
    works, home = works_of_plan(messages, options), operator_in(messages, options.operator_namespace)
    with Uncollected(), advised(connection, works, home):
        return plan_permitted(messages, lambda kept, closed: _plan(connection, kept, options, progress, ahead, closed))


def _plan(
    connection: Connection,
    messages: Manifests,
    options: PlanOptions,
    progress: Progress,
    ahead: Ahead,
    withheld: frozenset[str],
) -> Plan:
    server = Server(connection, "read")
    # A plain tuple: it is gone through more than ten times.
    resources = tuple(messages)
    progress(ProgressEvent("read", 0, 0, str(connection.identity)))
    inventory = read_inventory(
        server,
        set_operator=admission.operator_of(resources),
        chosen=options.operator_namespace,
        hostnames=any(isinstance(one, PostgresKubernetes) and one.spec.ingress.enabled for one in resources),
        secrets=secret_places(resources),
        sources=wanted_sources(resources),
        ahead=ahead,
    )
    admission.check_operators(resources, inventory)
    _begin(ahead, server.during("plan"), resources)
    values = resolve(server, messages, inventory.existing)
    rendering = render(messages, inventory.platform, replace(inventory.existing, values=values))
    admission.check_credentials(resources, rendering.platform)
    platform, existing = facts_in_force(resources, inventory, replace(inventory.existing, values=values))
    facts = Facts(resources, platform, existing, inventory)

    def report(text: str) -> None:
        progress(ProgressEvent("check", 0, 0, text))

    restores = None
    if any(isinstance(one, PostgresKubernetes) and source_message(one) is not None for one in resources):
        # Imported here: with what it needs of archives it is as large as all the rest.
        from planton.cluster.restoring.preflight import preflight

        restores = preflight(server, facts, options, report)
    plan = plan_set(
        connection,
        restores.written_into(rendering) if restores is not None else rendering,
        inventory,
        options,
        progress=progress,
        warnings=(
            *rendering.warnings,
            *(restores.warnings if restores is not None else ()),
            *admission.operator_warnings(resources, inventory),
        ),
        target_clusters=admission.target_clusters(resources),
        refresh=Refresh(
            connection,
            messages,
            options,
            rendering.platform,
            values,
            inventory=inventory,
            has_generation=any(
                GENERATION_ANNOTATION in (one["metadata"].get("annotations") or {}) for one in rendering
            ),
        ),
        messages=resources,
        withheld=withheld,
        ahead=ahead,
    )
    if restores is not None:
        plan = restores.told(plan)
    if options.skip_checks or not plan.changed:
        return plan
    from planton.cluster.checking.apply_checks import with_store_checks  # Likewise.

    return with_store_checks(plan, server, facts, options, report)


def _begin(ahead: Ahead, server: Server, resources: Sequence[Resource]) -> None:
    """Begins the list for which the set is probably large enough (ingress.py): a wrong guess costs one."""
    closed = (isinstance(one, PostgresKubernetes) and not one.spec.ingress.enabled for one in resources)
    if sum(closed) >= LIST_FROM:
        ahead.begin(server, SERVICE, labels=OF_DATABASES)
