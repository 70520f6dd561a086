"""`planton permissions`: the roles with which planton does its work, to be applied by an administrator."""

from __future__ import annotations

import argparse

from planton.cli._arguments import Parser, add_output, describe
from planton.cli._exit import DONE, UsageError
from planton.cli._output import Console

_WORKS = ("read", "databases", "operator", "prune", "backup", "check", "delete", "namespaces")
_HELP = """
Prints the roles that planton needs for some kinds of work, and binds them to an account. Somebody who may create
roles applies them once. Nothing is asked of a cluster.

  read        status, env, backups list, show and window, check; plan while nothing changes
  databases   plan and apply databases, restore
  operator    plan and apply the operator, with the rights that the operator itself gets
  prune       plan and apply with --set; delete --operator
  backup      backups create, delete --last-backup
  check       check --from-cluster
  delete      delete databases, with their volumes, passwords and Secrets
  namespaces  delete --namespace

`read` is in all of them. With --namespaces the work on databases is confined to these, which somebody else makes.
Why each permission is needed: docs/permissions.md.

Exit codes: 0 printed, 1 an argument is wrong.

Examples:
  planton permissions databases --account ci/planton | kubectl apply -f -
  planton permissions databases delete --namespaces team-a,team-b --group team-leads | kubectl apply -f -
  planton permissions operator databases --account ci/planton
"""


def configure(parser: Parser) -> None:
    """Adds the options of the verb.

    Args:
        parser: Its parser.
    """
    describe(parser, _HELP)
    parser.add_argument("work", nargs="+", choices=_WORKS, metavar="WORK", help=f"any of {', '.join(_WORKS)}")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--account", metavar="NAMESPACE/NAME", help="service account that gets the roles")
    who.add_argument("--user", metavar="NAME", help="user that gets them")
    who.add_argument(
        "--group", metavar="NAME", help="group of users that gets them (default: they are bound to nobody)"
    )
    parser.add_argument(
        "--namespaces",
        metavar="A,B",
        help="namespaces of databases in which it may work (default: all, those to come too)",
    )
    parser.add_argument(
        "--operator",
        dest="operator_namespace",
        metavar="NAMESPACE",
        default="postgres-operator",
        help="namespace of the operator (default: postgres-operator)",
    )
    parser.add_argument("--name", default="planton", help="what the names of the roles begin with (default: planton)")
    add_output(parser, "yaml", "json", default="yaml", text="form of the objects; json is one List")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Prints the roles.

    Args:
        arguments: What was asked for.
        console: Where to print.

    Returns:
        The exit code.

    Raises:
        UsageError: An argument is wrong.
    """
    from planton.translate.planton_roles import planton_roles

    spaces = [one.strip() for one in (arguments.namespaces or "").split(",") if one.strip()]
    for name in (*spaces, arguments.operator_namespace):
        _check_name(name)
    _check_name(arguments.name)
    if arguments.namespaces is not None and not spaces:
        raise UsageError(
            "--namespaces names none", "Leave it out for all namespaces, or write --namespaces team-a,team-b."
        )
    if spaces and "operator" in arguments.work:
        raise UsageError(
            "the operator works in every namespace that has a database, so that --namespaces cannot confine it",
            "Print two sets of roles with another --name each: one with the operator, one with --namespaces.",
        )
    if spaces and "prune" in arguments.work:
        raise UsageError(
            "--set looks for what belongs to the set in every namespace, so that --namespaces cannot confine it",
            "Leave prune out and apply without --set, or leave --namespaces out.",
        )
    subject = _subject(arguments)
    objects = planton_roles(
        arguments.work,
        subject=subject,
        operator_namespace=arguments.operator_namespace,
        namespaces=list(dict.fromkeys(spaces)),
        name=arguments.name,
    )
    if arguments.output == "json":
        console.json({"apiVersion": "v1", "kind": "List", "items": objects})
    else:
        console.yaml(*objects)
    if subject is None:
        console.plain("Nobody is bound to these roles: --account, --user or --group says who gets them.")
    return DONE


def _check_name(name: str) -> None:
    import re

    # https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/util/validation/validation.go (IsDNS1123Label)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name, re.ASCII):
        raise UsageError(
            "a name must be 1 to 63 lower-case letters, digits or '-', beginning and ending with a letter or digit",
            "Look at --namespaces, --operator, --account and --name.",
        )


def _subject(arguments: argparse.Namespace) -> dict[str, str] | None:
    if arguments.account is not None:
        space, slash, name = arguments.account.partition("/")
        if not slash:
            raise UsageError("--account needs a namespace and a name", "Write it as --account ci/planton.")
        for part in (space, *name.split(".")):
            _check_name(part)
        return {"kind": "ServiceAccount", "name": name, "namespace": space}
    for kind, word in (("User", arguments.user), ("Group", arguments.group)):
        if word is not None:
            if not word.strip():
                raise UsageError(f"--{kind.lower()} is empty", "Write the name as the API server knows it.")
            return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": word}
    return None
