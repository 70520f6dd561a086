"""What can go wrong with a sandbox, as exceptions."""

from __future__ import annotations

from pathlib import Path


class SandboxError(Exception):
    """The sandbox could not do what was asked; the message says why and what to do."""


class BuildError(SandboxError):
    """A program of the sandbox could not be built."""


class AlreadyUpError(SandboxError):
    """A sandbox of that name is up, or being started.

    Attributes:
        folder: its state folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(f"a sandbox named {folder.name} is up already: {folder / 'kubeconfig'}")
        self.folder = folder


class ApiError(SandboxError):
    """The API server refused a request of the sandbox itself.

    Attributes:
        status: HTTP status code; 0 when there was no answer at all.
        reason: the server's machine-readable reason, such as ``NotFound``.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{message} ({reason or status})")
        self.status = status
        self.reason = reason
