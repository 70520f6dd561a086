"""A server on loopback that answers as a test says, and the kubeconfig by which one comes to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Answers with nothing in it that a test does not say."""

    protocol_version = "HTTP/1.1"

    def answer(self, code: int, content: Any, headers: dict[str, str] | None = None) -> None:
        """Sends an answer, without the Date and the Server that the library would add.

        Args:
            code: HTTP status.
            content: Bytes as they are; anything else as JSON.
            headers: Further headers.
        """
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response_only(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Runs a server.

    Args:
        handler: What answers.

    Yields:
        Its URL.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(folder: Path, server: str, user: dict[str, Any], **cluster: str) -> Path:
    """Writes a kubeconfig with one context, `here`.

    Args:
        folder: Where.
        server: URL of the API server.
        user: The user's entry.
        cluster: Further fields of the cluster's entry; an underscore stands for a dash.

    Returns:
        The file.
    """
    fields = {name.replace("_", "-"): value for name, value in cluster.items()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server, **fields}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path
