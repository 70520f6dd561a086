"""Everything planton raises on purpose: one root, facts as attributes, never a credential in the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from planton.cluster.changes import Change
    from planton.cluster.permissions.review import Need

StoreProblem: TypeAlias = Literal[
    "unreachable", "certificate", "credentials", "forbidden", "no bucket", "region", "clock", "busy", "refused"
]
"""Kinds of trouble with an object store. Only `unreachable` says nothing of the store itself."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from.

    Attributes:
        file: Name of the file, `<stdin>`, `<text>`, or empty for a message made in Python.
        document: Number of the document in the file, from 1.
        line: Line on which the document begins, from 1; 0 when unknown.
    """

    file: str = ""
    document: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or worth a warning, in a manifest. Never holds the offending value.

    Attributes:
        message: What is wrong, and the remedy where there is one.
        path: Field path in the spelling of the manifest, such as `spec.container.disk_size`.
        origin: The document in which it stands; its `line` is that of the field where it is known.
        subject: `Kind/name` of the resource, where it is known.
    """

    message: str
    path: str = ""
    origin: Origin = Origin()
    subject: str = ""

    def __str__(self) -> str:
        """Formats the problem as one line: place, subject, path, message."""
        place = self.origin.file
        if self.origin.line:
            place += f":{self.origin.line}"
        if self.origin.document:
            place += f" (document {self.origin.document})"
        parts = [part for part in (place.strip(), self.subject, self.path) if part]
        return ": ".join([*parts, self.message])


class PlantonError(Exception):
    """Root of all errors that planton raises on purpose."""


class ManifestError(PlantonError):
    """Manifests that cannot be used: all problems at once.

    Attributes:
        problems: What is wrong, in the order of the input.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Makes the error.

        Args:
            problems: At least one problem.
        """
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ClusterError(PlantonError):
    """The cluster could not be asked or refused what was asked.

    Attributes:
        subject: `Kind/namespace/name`, or what was asked for.
        phase: What was being done: connect, list, plan, apply, delete, wait.
        status: HTTP status, 0 without an answer.
        reason: Kubernetes' reason, such as `Forbidden`.
        remedy: What to do.
        changes: What had been done before it failed, in order.
        denied: What is not allowed, all of it, where that is why; the text names the first few.
    """

    def __init__(
        self,
        text: str,
        *,
        subject: str = "",
        phase: str = "",
        status: int = 0,
        reason: str = "",
        remedy: str = "",
        changes: Sequence[Change] = (),
        denied: Sequence[Need] = (),
    ) -> None:
        """Makes the error.

        Args:
            text: What the server said, free of values from Secrets.
            subject: `Kind/namespace/name`, or what was asked for.
            phase: What was being done.
            status: HTTP status, 0 without an answer.
            reason: Kubernetes' reason.
            remedy: What to do.
            changes: What had been done before.
            denied: What is not allowed.
        """
        self.text = text
        self.subject = subject
        self.phase = phase
        self.status = status
        self.reason = reason
        self.remedy = remedy
        self.changes = tuple(changes)
        self.denied = tuple(denied)
        head = ": ".join(part for part in (subject, phase) if part)
        why = f" ({reason})" if reason else ""
        first = f"{head}{why}: {text}" if head or why else text
        super().__init__(f"{first}\n{remedy}" if remedy else first)

    def reword(
        self, *, text: str | None = None, remedy: str | None = None, denied: Sequence[Need] | None = None
    ) -> None:
        """Says the same in other words, in its place: whoever catches it by its class goes on finding it.

        Args:
            text: What happened; None for what it says.
            remedy: What to do; None likewise.
            denied: What is not allowed; None likewise.
        """
        ClusterError.__init__(
            self,
            self.text if text is None else text,
            subject=self.subject,
            phase=self.phase,
            status=self.status,
            reason=self.reason,
            remedy=self.remedy if remedy is None else remedy,
            changes=self.changes,
            denied=self.denied if denied is None else denied,
        )


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """Fields of one object that another field manager owns.

    Attributes:
        subject: `Kind/namespace/name`.
        manager: The other field manager.
        fields: Paths of the fields.
    """

    subject: str
    manager: str
    fields: tuple[str, ...]


class ConflictError(ClusterError):
    """Another field manager owns fields that this apply would set. Nothing was written.

    Attributes:
        conflicts: Each object with the other manager and its fields.
    """

    def __init__(self, conflicts: Sequence[FieldConflict], *, changes: Sequence[Change] = (), remedy: str = "") -> None:
        """Makes the error.

        Args:
            conflicts: At least one conflict.
            changes: What had been done before; empty when the plan found the conflict.
            remedy: What to do; empty for what can be done about an apply.
        """
        self.conflicts = tuple(conflicts)
        lines = [
            f'{conflict.subject}: field manager "{conflict.manager}" owns {", ".join(conflict.fields)}, '
            'which field manager "planton" would set'
            for conflict in self.conflicts
        ]
        super().__init__(
            "\n".join(lines),
            phase="plan" if not changes else "apply",
            status=409,
            reason="Conflict",
            remedy=remedy or "Remove the field from the other manager, or take it over with --force-conflicts.",
            changes=changes,
        )


class RefusedError(PlantonError):
    """Something planton does not do without an explicit word, or not at all.

    Attributes:
        reasons: Each reason, with the remedy.
        going: Namespaces that are being deleted, where that is the only reason.
    """

    def __init__(self, reasons: Sequence[str], *, going: Iterable[str] = ()) -> None:
        """Makes the error.

        Args:
            reasons: At least one reason.
            going: Namespaces that are being deleted, where that is the only reason.
        """
        self.reasons = tuple(reasons)
        self.going = frozenset(going)
        super().__init__("\n".join(self.reasons))


class StoreError(PlantonError):
    """An object store could not be asked, or refused what was asked.

    Attributes:
        subject: `s3://<bucket>/<path> at <host>`.
        problem: What kind of trouble it is.
        text: What it is, in words; never a header, a key, or what a store quotes of a request.
        remedy: What to do.
    """

    def __init__(self, text: str, *, subject: str, problem: StoreProblem, remedy: str = "") -> None:
        """Makes the error.

        Args:
            text: What went wrong.
            subject: What was asked.
            problem: What kind of trouble it is.
            remedy: What to do.
        """
        self.text = text
        self.subject = subject
        self.problem: StoreProblem = problem
        self.remedy = remedy
        first = f"{subject}: {text}"
        super().__init__(f"{first}\n{remedy}" if remedy else first)


class WaitError(ClusterError):
    """Something was not ready in time.

    Attributes:
        pending: `Kind/namespace/name: what is missing` of each object that was not ready.
        seconds: How long it was waited for.
    """

    def __init__(
        self, pending: Sequence[str], *, seconds: float, changes: Sequence[Change] = (), remedy: str = ""
    ) -> None:
        """Makes the error.

        Args:
            pending: What was not ready.
            seconds: How long it was waited for.
            changes: What had been done before.
            remedy: What to do; empty for what can be done about an apply.
        """
        self.pending = tuple(pending)
        self.seconds = seconds
        super().__init__(
            f"not ready after {seconds:g} s:\n" + "\n".join(f"  {line}" for line in self.pending),
            phase="wait",
            reason="Timeout",
            remedy=remedy or "What was done stays. Look into the above, then run the same command again.",
            changes=changes,
        )
