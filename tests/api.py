"""A plain view of the sandbox's API server for tests, independent of planton's own code."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

T = TypeVar("T")


def is_review(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of the audit log only asks what is allowed, which is a "create" that writes nothing."""
    return (entry.get("objectRef") or {}).get("resource") in ("selfsubjectaccessreviews", "selfsubjectreviews")


class Api:
    """Requests as an administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        """Reads the kubeconfig.

        Args:
            kubeconfig: The file.
        """
        make: Any = config.new_client_from_config
        dynamic: Any = DynamicClient
        client = make(str(kubeconfig), persist_config=False)
        self._client = dynamic(client, discoverer=lambda _client, _cache: None)

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Makes a request.

        Args:
            method: HTTP method in lower case.
            path: Path with its query.
            body: Object to send.
            options: What the client takes besides.

        Returns:
            The decoded answer.

        Raises:
            ApiException: The server refused.
        """
        answer = self._client.request(method, path, body=body, serialize=False, _request_timeout=(5.0, 30.0), **options)
        return json.loads(answer.data)

    def get(self, path: str) -> Any:
        """Gets an object or a list.

        Args:
            path: Its path.

        Returns:
            The object, or None where there is none.
        """
        try:
            return self.request("get", path)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def everything(self) -> Iterator[dict[str, Any]]:
        """Lists every object of every kind that can be listed.

        Yields:
            The objects.
        """
        groups = ["/api/v1"]
        for group in self.get("/apis")["groups"]:
            groups.append(f"/apis/{group['preferredVersion']['groupVersion']}")
        for group in groups:
            for resource in self.get(group)["resources"]:
                if "list" in resource["verbs"] and "/" not in resource["name"]:
                    for item in self.get(f"{group}/{resource['name']}")["items"]:
                        yield {"apiVersion": group, "kind": resource["kind"], **item}


def eventually(look: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """Waits until something is there.

    Args:
        look: Gives it, or None.
        what: What is waited for.
        seconds: How long.

    Returns:
        What was found.

    Raises:
        AssertionError: It was not there in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not there after {seconds:g} s: {what}")
