"""Documents that are alike: what was found of one holds for the next, which differs from it in a few values alone.

Of thousands of manifests most say the same, but for a name and a path. A document with the same fields in the same
order, and with the same values in all of them but those of SINGLE, gets the same defaults and is as right as the one
before: only these few values are looked at. At any doubt (another value, a list or a map, a suspicion that one of the
few is wrong) the answer is no, and the document is looked at as a whole. Nothing is remembered of what can be a
credential.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from planton.manifest._known import has_no_rule, rule_on
from planton.manifest._tables import LIST, MAP, STRING, Slot
from planton.manifest._template import Path, Template
from planton.manifest.checks import SINGLE
from planton.sensitive import has_user

if TYPE_CHECKING:
    from planton.manifest._draft import Draft

_MOST = 1024
"""Documents that are remembered, each of which is unlike the others."""
_LONGEST = 512
"""Longest text that is remembered, in characters."""


class _Single(NamedTuple):
    """A field whose value is looked at by itself.

    Attributes:
        place: Its place among the values of a document.
        is_right: What its value has to be by the rule on the field.
        is_doubtful: Says of a value that more has to be known of the document to call it right.
    """

    place: int
    is_right: Callable[[str], bool]
    is_doubtful: Callable[[str], object]


class _Form:
    """Documents with the same fields in the same order.

    Attributes:
        marks: The fields.
        single: Those of SINGLE among them.
        paths: Path of each of these -> its place among them.
        others: Picks the values of all other fields.
        known: These values -> the message, with its defaults.
    """

    __slots__ = ("known", "marks", "others", "paths", "single")

    def __init__(self, marks: tuple[Slot, ...], single: list[_Single]) -> None:
        self.marks = marks
        self.single = single
        self.paths = {_path(marks[one.place]): index for index, one in enumerate(single)}
        places = {one.place for one in single}
        self.others = itemgetter(*(place for place in range(len(marks)) if place not in places))
        self.known: dict[Any, Template] = {}


class Alike:
    """Remembers the documents of one reading."""

    __slots__ = ("_forms", "_left")

    def __init__(self) -> None:
        """Begins with none."""
        self._forms: dict[tuple[Any, ...], _Form] = {}
        self._left = _MOST

    def find(self, draft: Draft) -> tuple[tuple[Slot, ...], bytes] | None:
        """Looks for a document that was right and is like another one.

        Args:
            draft: A document in which nothing was found wrong while it was read.

        Returns:
            Its fields, and its message with its defaults, as `as_bytes` gives it; None when it has to be looked at.
        """
        form = self._forms.get(tuple(draft.marks)) if not draft.has_parts else None
        if form is None:
            return None
        values = draft.values
        template = form.known.get(form.others(values))
        if template is None:
            return None
        texts = []
        for place, is_right, is_doubtful in form.single:
            value = values[place]
            if not value or not is_right(value) or is_doubtful(value):
                return None
            texts.append(value.encode())
        return form.marks, template.fill(texts)

    def remember(self, draft: Draft, data: bytes) -> None:
        """Remembers a document.

        Args:
            draft: The document, which was right.
            data: What `as_bytes` gives of its message with its defaults.
        """
        if not self._left or draft.has_parts:
            return
        form = self._forms.get(tuple(draft.marks)) or _form(draft)
        if form is None or any(map(_may_hold_a_credential, form.others(draft.values))):
            return
        if not all(draft.values[one.place] for one in form.single):
            return
        self._forms[form.marks] = form
        form.known[form.others(draft.values)] = Template(data, form.paths)
        self._left -= 1


def _form(draft: Draft) -> _Form | None:
    """Prepares for documents with the fields of one; None where each of them has to be looked at."""
    doubts = SINGLE.get(draft.kind.name, {}) if draft.kind is not None else {}
    marks: list[Slot] = []
    single: list[_Single] = []
    for place, mark in enumerate(draft.marks):
        if type(mark) is not Slot or mark.type in (LIST, MAP) or mark.field.GetOptions().debug_redact:
            return None
        marks.append(mark)
        if mark.type == STRING:
            rule = rule_on(mark.field)
            # Anything can stand in a text without a rule.
            if rule is None or (rule is has_no_rule and mark.canonical not in doubts):
                return None
            if mark.canonical in doubts:
                single.append(_Single(place, rule, doubts[mark.canonical]))
    return _Form(tuple(marks), single)


def _path(slot: Slot | None) -> Path:
    return (*_path(slot.above), slot.field.number) if slot is not None else ()


def _may_hold_a_credential(value: Any) -> bool:
    return isinstance(value, str) and (len(value) > _LONGEST or has_user(value))
