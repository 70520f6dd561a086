"""One text -> its documents. After a syntax error, reading goes on with the next document."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.events import DocumentStartEvent, StreamEndEvent

from planton.manifest._builder import Builder
from planton.manifest._collect import Collection
from planton.manifest._draft import Finding
from planton.manifest._events import GetEvent, explain, yaml_events
from planton.manifest._json import json_events, looks_like_json
from planton.manifest._limits import MAX_DOCUMENT, MAX_DOCUMENTS, MAX_RESTARTS
from planton.manifest._text import Unusable, line_of, to_text

_NEXT_DOCUMENT = re.compile(r"[\n\r\x85\u2028\u2029](?=---(?:\s|\Z))")


def read_content(content: bytes | str, file: str, collection: Collection) -> None:
    """Reads all documents of a file or text.

    Args:
        content: UTF-8, or text.
        file: Its name, for errors. What ends in .json is read as JSON alone.
        collection: Takes what is found.

    Raises:
        Enough: There is no point in reading on.
    """
    try:
        text = to_text(content)
    except Unusable as error:
        collection.problem(error.message, file, line=error.line)
        return
    reading = _Reading(text, file, collection)
    if file.lower().endswith(".json") or looks_like_json(text):
        reading.json()
    else:
        # Each of these begins a document, wherever it stands; too many are refused before any is read.
        if text.count("\n---") > MAX_DOCUMENTS:
            collection.expect_documents(sum(1 for _ in _NEXT_DOCUMENT.finditer(text)), file)
        reading.yaml()
    if reading.empty:
        collection.problem("has no document in it", file)


class _Reading:
    """Reads one text.

    Attributes:
        empty: True as long as nothing was found in it.
    """

    def __init__(self, text: str, file: str, collection: Collection) -> None:
        self._text = text
        self._file = file
        self._collection = collection
        self._number = 0
        self.empty = True

    def json(self) -> None:
        """Reads the text as JSON."""
        builder = Builder()
        try:
            self._documents(json_events(self._text), builder)
        except Unusable as error:
            self._unusable(error, builder)

    def yaml(self) -> None:
        """Reads the text as YAML, document by document also where one cannot be read."""
        text, line = self._text, 1
        for _ in range(MAX_RESTARTS):
            builder = Builder(line)
            try:
                self._documents(yaml_events(text, builder.report, line), builder)
                return
            except yaml.YAMLError as error:
                unusable = explain(error, text, line)
            except Unusable as error:
                unusable = error
            self._unusable(unusable, builder)
            # The error can stand on the very line that begins the next document, hence one character back.
            found = _NEXT_DOCUMENT.search(text, max(unusable.place - 1, 0)) if unusable.place >= 0 else None
            if found is None:
                return
            line += line_of(text, found.end()) - 1
            text = text[found.end() :]
        self._collection.problem("has too many documents that cannot be read; the rest is not looked at", self._file)

    def _documents(self, get: GetEvent, builder: Builder) -> None:
        builder.read_from(get)
        while type(event := get()) is not StreamEndEvent:
            if type(event) is not DocumentStartEvent:
                continue
            self._number += 1
            self._collection.count_document(self._file)
            start: Any = event.start_mark
            draft = builder.document(get())
            end = get().start_mark
            if draft is None:
                continue
            self.empty = False
            if end.index - start.index > MAX_DOCUMENT:
                draft.findings.append(Finding(draft.line, "", f"is larger than {MAX_DOCUMENT // 2**20} MiB"))
                draft.is_whole = False
            builder.begin()
            self._collection.document(draft, self._file, self._number)

    def _unusable(self, error: Unusable, builder: Builder) -> None:
        self.empty = False
        builder.draft.is_whole = False
        builder.draft.findings.append(Finding(error.line, "", error.message))
        self._collection.document(builder.draft, self._file, self._number or 1)
