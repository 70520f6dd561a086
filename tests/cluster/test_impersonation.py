"""As whom a user of a kubeconfig acts: what the real server is told, by requests and by the exec of a WebSocket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from planton.cluster.api.connection import ApiError, Request
from planton.cluster.api.exec import run_in_pod
from planton.cluster.api.impersonation import headers_of
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.server import Server
from planton.errors import ClusterError
from sandbox import Sandbox
from tests.cluster import answering

NOBODY = "system:serviceaccount:default:nobody"
_REVIEW = Request(
    "POST",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    (),
    {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
    "application/json",
)


def _anything(*_: object) -> bool:
    return True


def kubeconfig(sandbox: Sandbox, folder: Path, **user: Any) -> Path:
    config = yaml.safe_load(Path(sandbox.kubeconfig).read_text())
    config["users"][0]["user"] |= {name.replace("_", "-").rstrip("-"): value for name, value in user.items()}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


@pytest.mark.cluster
def test_every_request_is_made_as_whom_the_kubeconfig_says(sandbox: Sandbox, tmp_path: Path) -> None:
    path = kubeconfig(
        sandbox,
        tmp_path,
        as_=NOBODY,
        as_uid="17",
        as_groups=["one:of two", "another"],
        as_user_extra={"example.com/Rooms": ["red", "blue"]},
    )
    server = Server(open_connection(path, None), "test")
    # The first by urllib3, the next on the connection that stands.
    for _ in range(3):
        user = server.send(_REVIEW, "me", _anything)[1]["status"]["userInfo"]
        assert (user["username"], user["uid"]) == (NOBODY, "17")
        assert {"one:of two", "another"} <= set(user["groups"])
        assert user["extra"]["example.com/rooms"] == ["red", "blue"]
    with pytest.raises(ApiError, match=f'User "{NOBODY}" cannot'):
        server.send(Request("GET", "/api/v1/secrets"), "secrets", _anything)
    with pytest.raises(ApiError, match=f'User "{NOBODY}" cannot') as caught:
        run_in_pod(server, "default", "db-0", ["true"], container="postgres", on_line=print)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ({"as-groups": ["system:masters"]}, "for a user without as"),
        ({"as-uid": "1"}, "for a user without as"),
        ({"as": 12}, "its as has to be put in quotes"),
        ({"as": "a", "as-groups": "one"}, "its as-groups is not a list"),
        ({"as": "a", "as-user-extra": ["x"]}, "its as-user-extra is not a map of lists"),
        ({"as": "a\r\nImpersonate-Group: system:masters"}, "cannot be written as the header Impersonate-User"),
        ({"as": "a "}, "cannot be written as the header Impersonate-User"),
        ({"as": "a", "as-groups": ["ä"]}, "cannot be written as the header Impersonate-Group"),
    ],
)
def test_what_cannot_be_told_to_the_server_is_refused(tmp_path: Path, user: dict[str, Any], text: str) -> None:
    path = answering.kubeconfig(tmp_path, "https://127.0.0.1:9", {"token": "sentinel", **user})
    with pytest.raises(ClusterError, match=text) as caught:
        open_connection(path, None)
    assert "sentinel" not in str(caught.value)


def test_the_names_of_extra_facts_are_escaped() -> None:
    headers = headers_of({"as": "a", "as-user-extra": {"x/%\r\nä": ["1"]}})
    assert headers == (("Impersonate-User", "a"), ("Impersonate-Extra-x%2F%25%0D%0A%C3%A4", "1"))
