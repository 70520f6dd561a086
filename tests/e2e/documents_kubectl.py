"""Stands for kubectl in the tests of the documents: it does nothing, and knows whether what it is told about is there.

A sandbox has no pod in which anything could be run. What a page may have wrong is a name: of a namespace, a pod, its
container, a Secret or a Service. So these are looked up.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sandbox._api import Api
from sandbox._errors import ApiError


def main(arguments: list[str], kubeconfig: Path) -> int:
    """Looks up what a command names.

    Args:
        arguments: The command line.
        kubeconfig: How to get to the cluster.

    Returns:
        The exit code.
    """
    command = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("exec", "logs", "get"))
    parser.add_argument("names", nargs="+")
    parser.add_argument("-n", "--namespace", required=True)
    parser.add_argument("-c", "--container")
    parser.add_argument("-o", "--output")
    parser.add_argument("-it", action="store_true")
    parser.add_argument("--tail")
    given = parser.parse_intermixed_args(arguments[:command])
    assert (given.verb == "exec") == bool(arguments[command + 1 :])
    kind, name = ("pods", given.names[0]) if given.verb != "get" else (f"{given.names[0]}s", given.names[1])
    try:
        found = Api.from_kubeconfig(kubeconfig).request("GET", f"/api/v1/namespaces/{given.namespace}/{kind}/{name}")
    except ApiError as error:
        print(error)
        return 1
    if given.container and given.container not in [one["name"] for one in found["spec"]["containers"]]:
        print(f"{name} has no container {given.container}")
        return 1
    if given.output:
        assert given.output.startswith("jsonpath={.data.")
        assert given.output.removeprefix("jsonpath={.data.").removesuffix("}") in found["data"]
    return 0
