"""Events -> messages: every field checked as it comes, all problems collected, no value ever repeated.

Only the structure and the types are checked here; what a value may be stands on the fields as rules.
"""

from __future__ import annotations

from typing import Any

from yaml.events import (
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from planton.kinds import KINDS, Kind
from planton.manifest._draft import UNREAD, Draft, Finding
from planton.manifest._events import GetEvent
from planton.manifest._limits import MAX_DEPTH, MAX_NODES, MAX_PROBLEMS
from planton.manifest._names import nearest, nearest_places
from planton.manifest._plain import INTEGER, SUSPICIOUS, meaning
from planton.manifest._scalars import Refusal, found, no_value, read_scalar
from planton.manifest._tables import (
    BOOL,
    ENUM,
    INT,
    LIST,
    MAP,
    MESSAGE,
    STRING,
    Node,
    Slot,
    places,
    rivals_of,
    root,
    usual_name,
)
from planton.manifest._text import Unusable
from planton.sensitive import entry, is_showable

# Not as a class, or the type checker would ask whether the events have marks: the parsers' always do.
_SCALAR: Any = ScalarEvent
_STARTS = (MappingStartEvent, SequenceStartEvent)
_ENDS = (MappingEndEvent, SequenceEndEvent)
_END = MappingEndEvent()
# So alike that the rest of the document is worth checking as if it were this kind.
_SURE = 0.9
# So few that naming all of them helps more than it hides.
_FEW = 8
_BLANK = {STRING: "", BOOL: False, INT: 0, ENUM: 0}
# Numbers of so few digits fit into a field of any type.
_SHORT = 10
_MERGE = "merge keys (<<) are not supported: write the fields out, or give a whole value by an alias"


class Builder:
    """Builds the documents of one text, one after the other.

    Attributes:
        draft: The document that is being read, or was read last.
    """

    def __init__(self, line: int = 1) -> None:
        """Makes a builder without a text; `read_from` gives it one.

        Args:
            line: Number of the text's first line, from 1.
        """
        self._get: GetEvent = iter(()).__next__
        self._base = line
        self._first = 0
        self._nodes = 0
        self._depth = 0
        self.draft = Draft(line)

    def read_from(self, get: GetEvent) -> None:
        """Takes the text.

        Args:
            get: Gives the next event.
        """
        self._get = get

    def document(self, event: Any) -> Draft | None:
        """Builds one document.

        Args:
            event: The first event of its content.

        Returns:
            The document, or None for an empty one.

        Raises:
            Unusable: It cannot be read to its end.
        """
        draft = self.draft
        self._first = event.start_mark.line
        draft.line = self._first + self._base
        self._nodes = 0
        self._depth = 1
        if type(event) is MappingStartEvent:
            self._root()
        elif no_value(event):
            return draft if draft.findings else None
        else:
            self._find(draft.line, "", f"must be a mapping that begins with apiVersion and kind, not {found(event)}")
            self._skip(event)
        return draft

    def begin(self) -> None:
        """Begins a new document: what is found from now on belongs to it."""
        self.draft = Draft(self._base)

    def report(self, message: str, line: int) -> None:
        """Adds a problem that is known by its line alone.

        Args:
            message: What is wrong.
            line: Line in the text, from 0.
        """
        self._find(line + self._base, "", message)

    def _find(self, line: int, path: str, message: str) -> None:
        self.draft.findings.append(Finding(line, path, message))
        if len(self.draft.findings) > MAX_PROBLEMS:
            raise Unusable("has too many problems in one document", line)

    def _root(self) -> None:
        """Reads the mapping of a document. Its kind decides how, so what stands before the kind is held back."""
        live = self._get
        held: list[Any] = []
        keys: list[str] = []
        kind = None
        while kind is None and type(key := live()) is not MappingEndEvent:
            self._hold(key, held)
            value = live()
            self._hold(value, held)
            if type(key) is ScalarEvent:
                keys.append(key.value)
                if key.value == "kind" and type(value) is ScalarEvent:
                    kind = value
        if kind is None:
            self._without_kind(keys)
            return
        name = self._kind(kind)
        if not name:
            while type(key := live()) is not MappingEndEvent:
                self._skip(key)
                self._skip(live())
            return
        held.append(_END)
        known = self.draft.kind = KINDS[name]
        node = root(known.message.DESCRIPTOR)
        self._get = iter(held).__next__
        try:
            seen = self._fields(node, 0)
        finally:
            self._get = live
        self._check_head(node, known, self._fields(node, seen))

    def _hold(self, event: Any, held: list[Any]) -> None:
        if type(event) is ScalarEvent:
            self._count(event)
            held.append(event)
        else:
            self._copy(event, held)

    def _without_kind(self, keys: list[str]) -> None:
        line = self.draft.line
        problem = "must be text" if "kind" in keys else "is missing"
        self._find(line, "kind", f"{problem}: write one of {', '.join(KINDS)}")
        if "apiVersion" not in keys and "api_version" not in keys:
            versions = dict.fromkeys(kind.api_version for kind in KINDS.values())
            self._find(line, "apiVersion", f"is missing: write {' or '.join(versions)}")
        for key in ("metadata", "spec"):
            if key not in keys:
                self._find(line, key, "is missing")

    def _kind(self, kind: Any) -> str:
        """Decides how a document is read; empty when that is anyone's guess."""
        if kind.value in KINDS:
            return str(kind.value)
        sure = nearest(kind.value, KINDS, _SURE)
        if not sure:
            near = nearest(kind.value, KINDS)
            hint = f"; did you mean {near}?" if near else ""
            line = kind.start_mark.line + self._base
            self._find(line, "kind", f"is not a kind that planton knows: write one of {', '.join(KINDS)}{hint}")
        return sure

    def _check_head(self, node: Node, kind: Kind, seen: int) -> None:
        draft = self.draft
        for key, wanted in (("apiVersion", kind.api_version), ("kind", kind.name)):
            slot = node.slots[key]
            if not seen & slot.bit:
                self._find(draft.line, key, f"is missing: write {wanted}")
                continue
            # The other spelling has a slot of its own.
            place = draft.marks.index(slot if slot in draft.marks else node.slots[slot.name])
            if draft.values[place] != wanted and draft.values[place] is not UNREAD:
                line = draft.line + draft.lines[place]
                self._find(line, key, f"is not one that planton knows; did you mean {wanted}?")
        for key in ("metadata", "spec"):
            if not seen & node.slots[key].bit and key not in draft.failed:
                self._find(draft.line, key, "is missing")
                draft.failed.add(key)

    # The hot loop: one turn for every field of every document.

    def _fields(self, node: Node, seen: int) -> int:
        get, slots, first, draft = self._get, node.slots, self._first, self.draft
        add_mark, add_value, add_line = draft.marks.append, draft.values.append, draft.lines.append
        while True:
            key = get()
            if type(key) is not _SCALAR:
                if type(key) is MappingEndEvent:
                    return seen
                self._odd_key(key, node.prefix[:-1])
                continue
            slot = slots.get(key.value)
            event = get()
            if slot is None or seen & slot.blocked:
                self._refuse_key(node, slot, key, event, seen)
                continue
            seen |= slot.bit
            add_mark(slot)
            add_line(key.start_mark.line - first)
            kind = slot.type
            if kind == STRING and type(event) is ScalarEvent:
                value = event.value
                if event.style or (value and value[0] not in SUSPICIOUS) or not meaning(value):
                    add_value(value)
                    continue
            elif kind == MESSAGE and type(event) is MappingStartEvent:
                add_value(None)
                self._depth += 1
                self._fields(slot.node(), 0)
                self._depth -= 1
                continue
            elif kind == BOOL and type(event) is ScalarEvent:
                value = event.value
                if not event.style and (value == "true" or value == "false"):
                    add_value(value == "true")
                    continue
            elif kind == INT and type(event) is ScalarEvent:
                value = event.value
                if not event.style and len(value) < _SHORT and value.isdecimal() and INTEGER.fullmatch(value):
                    add_value(int(value))
                    continue
            add_value(UNREAD)
            self._field(slot, event)

    def _field(self, slot: Slot, event: Any) -> None:
        """Reads what the hot loop leaves: scalars other than text, lists, maps, and all that is wrong."""
        values, place = self.draft.values, len(self.draft.values) - 1
        try:
            if slot.type == LIST:
                values[place] = self._list(slot, event)
            elif slot.type == MAP:
                values[place] = self._map(slot, event)
            elif slot.type == MESSAGE or slot.scalar is None:
                raise Refusal(_no_collection(f"a mapping of fields{_choices(slot)}", "{}", event))
            else:
                values[place] = read_scalar(slot.scalar, event)
        except Refusal as refusal:
            self._refuse(slot, "", event, refusal)

    def _refuse(self, slot: Slot, step: str, event: Any, refusal: Refusal) -> None:
        self.draft.failed.add(slot.canonical + step)
        self._find(event.start_mark.line + self._base, slot.path + step, str(refusal))
        self._skip(event)

    def _list(self, slot: Slot, event: Any) -> list[Any]:
        if type(event) is not SequenceStartEvent or slot.scalar is None:
            raise Refusal(_no_collection("a list", "[]", event))
        items: list[Any] = []
        while type(item := self._get()) is not SequenceEndEvent:
            self._count(item)
            step = f"[{len(items)}]"
            try:
                items.append(read_scalar(slot.scalar, item))
            except Refusal as refusal:
                self._refuse(slot, step, item, refusal)
                # Keeps the numbers of the items behind it right for the rules.
                items.append(_BLANK[slot.scalar.type])
            self.draft.add_part(slot, step, item.start_mark.line - self._first)
        return items

    def _map(self, slot: Slot, event: Any) -> dict[str, Any]:
        if type(event) is not MappingStartEvent or slot.scalar is None:
            raise Refusal(_no_collection("a mapping of names to text", "{}", event))
        entries: dict[str, Any] = {}
        while type(key := self._get()) is not MappingEndEvent:
            self._count(key)
            if type(key) is not _SCALAR:
                self._odd_key(key, slot.path)
                continue
            value = self._get()
            step = entry(key.value)
            line = key.start_mark.line - self._first
            try:
                if not key.style and (what := meaning(key.value)):
                    if key.value == "<<":
                        raise Refusal(_MERGE)
                    raise Refusal(f"has a key that is {what} to readers of YAML: put the key in quotes")
                if key.value in entries:
                    raise Refusal("is given twice: keep one of them")
                entries[key.value] = read_scalar(slot.scalar, value)
                self.draft.add_part(slot, step, line)
            except Refusal as refusal:
                self.draft.failed.add(slot.canonical + step)
                self._find(self.draft.line + line, slot.path + step, str(refusal))
                self._skip(value)
        return entries

    # What is wrong with keys.

    def _odd_key(self, key: Any, path: str) -> None:
        self._find(key.start_mark.line + self._base, path, f"has a key that is {found(key)}: a key must be a name")
        self._skip(key)
        self._skip(self._get())

    def _refuse_key(self, node: Node, slot: Slot | None, key: Any, event: Any, seen: int) -> None:
        line = key.start_mark.line + self._base
        if slot is None:
            self._unknown(node, key, line)
        else:
            draft = self.draft
            given = [(mark, below) for mark, below in zip(draft.marks, draft.lines, strict=True) if type(mark) is Slot]
            if seen & slot.bit:
                first, below = next(one for one in given if one[0].canonical == slot.canonical)
                names = "" if first.path == slot.path else f", as {_last(first.path)} and as {_last(slot.path)}"
                text = f"is given twice{names}, first on line {draft.line + below}"
            else:
                rivals = rivals_of(slot.field)
                above = slot.canonical[: -len(slot.name)]
                choices = {above + rival.name for rival in rivals}
                given_as, _ = next(one for one in given if one[0].canonical in choices)
                text = f"excludes {_last(given_as.path)}, which is given as well: keep one of them"
            self._find(line, slot.path, text)
        self._skip(event)

    def _unknown(self, node: Node, key: Any, line: int) -> None:
        name, above = key.value, node.prefix[:-1]
        if name == "<<" and not key.style:
            self._find(line, above, _MERGE)
            return
        kind = self.draft.kind
        elsewhere = [] if kind is None else places(root(kind.message.DESCRIPTOR), name)
        # Nobody writes what planton fills in.
        elsewhere = [place for place in elsewhere if place.partition(".")[0] != "status"]
        near = nearest(name, node.slots)
        if elsewhere:
            text = f"is not a field of this place; it belongs under {nearest_places(above, elsewhere)}"
        elif near:
            text = f"is not a field that planton knows; did you mean {near}?"
            self.draft.misspelt.add(node.slots[near].canonical)
        else:
            text = "is not a field that planton knows"
            fields = list(dict.fromkeys(_last(slot.canonical) for slot in node.slots.values()))
            if len(fields) <= _FEW:
                text += f"; here are {', '.join(fields)}"
        if elsewhere or is_showable(name):
            self._find(line, node.prefix + name, text)
        else:
            self._find(line, above, f"has a key that {text}; it is not shown, since it can be a credential")

    # What is passed over.

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            mark = event.start_mark
            raise Unusable(
                f"has more than {MAX_NODES} keys and items in one document", mark.line + self._base, mark.index
            )

    def _skip(self, event: Any) -> None:
        self._copy(event, None)

    def _copy(self, event: Any, into: list[Any] | None) -> None:
        """Reads a node to its end, and keeps its events where a list for them is given."""
        get, level = self._get, self._depth
        while True:
            self._count(event)
            if into is not None:
                into.append(event)
            kind = type(event)
            if kind in _STARTS:
                level += 1
                if level > MAX_DEPTH:
                    mark = event.start_mark
                    raise Unusable(
                        f"has more than {MAX_DEPTH} mappings and lists inside of each other",
                        mark.line + self._base,
                        mark.index,
                    )
            elif kind in _ENDS:
                level -= 1
            if level == self._depth:
                return
            event = get()


def _no_collection(wanted: str, empty: str, event: Any) -> str:
    if no_value(event):
        return f"has no value: indent what belongs to it, write {empty} for an empty one, or remove the line"
    return f"must be {wanted}, not {found(event)}"


def _choices(slot: Slot) -> str:
    """Names the fields of which one is to be given, where a message is nothing else: a plain value is a slip there."""
    message = slot.field.message_type
    if message is None or len(message.oneofs) != 1 or len(message.fields) != len(message.oneofs[0].fields):
        return ""
    return f" ({', '.join(usual_name(field) for field in message.fields)})"


def _last(path: str) -> str:
    return path.rpartition(".")[2]
