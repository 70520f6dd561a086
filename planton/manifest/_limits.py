"""How much one reading takes in. What is beyond is refused quickly, whatever the text holds.

A file of 10,000 databases has about 4 MB. A Kubernetes object never has more than 1.5 MB (etcd's default limit of a
request, https://etcd.io/docs/v3.6/dev-guide/limit/), so neither does a manifest that makes sense.
"""

from __future__ import annotations

MAX_BYTES = 16 * 1024 * 1024
"""Size of one file, stream or text, in bytes of UTF-8."""
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Size of all files of one reading together: what a hundred thousand databases have, with room to spare."""
MAX_BYTES_IN_PYTHON = 1024 * 1024
"""The same, in characters, where PyYAML was built without libyaml: its parser in Python is twenty times slower."""
MAX_DOCUMENT = 1024 * 1024
"""Size of one document, in characters."""
MAX_DOCUMENTS = 100_000
"""Documents of one reading, empty ones included, over all its files."""
MAX_FILES = 100_000
"""Files and folders of one reading."""
MAX_DEPTH = 64
"""Depth of mappings and lists inside of each other."""
MAX_NODES = 20_000
"""Keys and items of one document that are not fields of a message."""
MAX_REPLAYED = 10_000
"""Nodes of one document that come from aliases."""
MAX_PROBLEMS = 1_000
"""Problems of one reading; it stops there."""
MAX_RESTARTS = 20
"""Syntax errors in one file after which reading goes on with the next document."""
