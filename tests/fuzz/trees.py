"""Mutations that keep an input readable: of mappings, lists and scalars instead of bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

import yaml

from planton.kinds import KINDS
from tests.fuzz.oracle import MARKERS

_LARGEST = 64 << 10
_DEEPEST = 24

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 9, 10**6, 2**31, 2**63, 2**64, 10**30, 0.5, 1e308, "", " ", "~", "null", "yes", "n",
    "0", "1e3", "0x1f", "017", "1_000", "-0", ".5", "+1", "NaN", ".inf", "2026-11-22", "2026-11-22T08:14:35Z",
    "2026-11-22 08:14:35+01", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "10Gi", "500m", "1.5Gi", "2e3",
    "1K", "-1Gi", "1e999", "9223372036854775807", "9223372036854775808Ei", "0 2 * * *", "*/5 * * * *", "0 0 30 2 *",
    "0 0 29 2 1", "0 0 0 * * *", "@daily", "5-1 * * * *", "1,2,3 */2 1-5/2 JAN-MAR MON", "postgres-backups/a/b",
    "s3://bucket/path/$(SCOPE)", "/path/$(PGVERSION)", "a/../b", "$(SCOPE)", "$$(SCOPE)", "$(", "http://x.example:1",
    "https://user:word@x.example", "https://[::1]:9000", "a\u0000b", "\ud7ff", "\ufeff", "\u2028", "\u202e", "é",
    "\U0001f600", "a\nb", "a: b", "# x", "- x", "x" * 64, "x" * 300, "9" * 400, "default", "kube-system", "orders",
    "postgres-operator", "db-orders", "13", "17", "99", "1.15.1", "2.0.1", "hex", "base64", "none", "lz4", "LATEST",
    {}, [], [None], {"": ""}, *MARKERS,
)  # fmt: skip
"""Values that mean something to somebody on the way."""


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


@cache
def field_names() -> tuple[str, ...]:
    """Gives the names of all fields of all messages, in both spellings."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    queue = [kind.message.DESCRIPTOR for kind in KINDS.values()]
    while queue:
        descriptor = queue.pop()
        if descriptor.full_name in seen:
            continue
        seen.add(descriptor.full_name)
        for field in descriptor.fields:
            found[field.name] = found[_camel(field.name)] = None
            if field.message_type is not None:
                queue.append(field.message_type)
    return tuple(found)


def scalar(random: Random) -> Any:
    """Makes a value."""
    one = random.choice(SCALARS)
    if isinstance(one, str) and random.random() < 0.2:
        other = random.choice(SCALARS)
        place = random.randint(0, len(one))
        return one[:place] + (other if isinstance(other, str) else "$") + one[place:]
    return json.loads(json.dumps(one)) if isinstance(one, (dict, list)) else one


def _places(tree: Any, found: list[tuple[Any, Any]], depth: int = 0) -> list[tuple[Any, Any]]:
    if depth < _DEEPEST and len(found) < 2000:
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for key, value in pairs:
            found.append((tree, key))
            _places(value, found, depth + 1)
    return found


def mutated(tree: Any, random: Random, names: Sequence[str] = ()) -> Any:
    """Changes a tree in one to four places.

    Args:
        tree: Mappings, lists and scalars; is changed.
        random: Where chance comes from.
        names: Names that keys may get.

    Returns:
        The tree.
    """
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        places = _places(tree, [])
        if not places:
            return scalar(random)
        inside, key = random.choice(places)
        way = random.randrange(10)
        if way < 4:
            inside[key] = scalar(random)
        elif way == 4:
            del inside[key]
        elif way == 5:
            other, there = random.choice(places)
            inside[key] = json.loads(json.dumps(other[there], default=str)) if there in _keys(other) else None
        elif way == 6 and isinstance(inside, dict):
            inside[random.choice(names) if names and random.random() < 0.8 else str(scalar(random))] = inside.pop(key)
        elif way == 7 and isinstance(inside, dict):
            inside[random.choice(names) if names else str(scalar(random))] = scalar(random)
        elif way == 8 and isinstance(inside[key], str) and inside[key]:
            text = inside[key]
            begin = random.randrange(len(text))
            inside[key] = text[:begin] + str(scalar(random))[:20] + text[begin + random.randrange(3) :]
        elif way == 9:
            inside[key] = [inside[key]] * random.choice((1, 2, 3)) if random.random() < 0.5 else {"a": inside[key]}
        if isinstance(inside, list) and random.random() < 0.2:
            inside.append(scalar(random))
    return tree


def _keys(container: Any) -> Any:
    return container if isinstance(container, dict) else range(len(container))


Fallback = Callable[[bytes, int], bytes]


def mutated_yaml(data: bytes, most: int, seed: int, fallback: Fallback) -> bytes:
    """Changes a text of YAML documents, by its trees or by its bytes.

    Args:
        data: The text.
        most: Bytes of the result at most.
        seed: What chance follows from.
        fallback: Changes bytes.

    Returns:
        Another text.
    """
    random = Random(seed)
    if random.random() < 0.35 or len(data) > _LARGEST:
        return fallback(data, most)
    try:
        trees = [*yaml.load_all(data.decode(), Loader=yaml.CSafeLoader)]
        one = random.randrange(len(trees))
        trees[one] = mutated(trees[one], random, field_names())
        if random.random() < 0.1:
            trees.append(json.loads(json.dumps(random.choice(trees), default=str)))
        made = _written(trees, random)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError, OverflowError):
        return fallback(data, most)
    return made if len(made) <= most else fallback(data, most)


def _written(trees: list[Any], random: Random) -> bytes:
    if random.random() < 0.3:
        return json.dumps(trees[0] if len(trees) == 1 else trees, default=str, indent=random.choice((None, 1))).encode()
    text: str = yaml.dump_all(
        trees,
        Dumper=yaml.CSafeDumper,
        default_flow_style=random.choice((False, False, None, True)),
        default_style=random.choice((None, None, None, '"', "'")),
        sort_keys=random.random() < 0.2,
        allow_unicode=random.random() < 0.5,
        indent=random.choice((2, 2, 4)),
    )
    if random.random() < 0.15:
        # One line further in or out: what was below something is beside it.
        lines = text.split("\n")
        at = random.randrange(len(lines))
        lines[at] = lines[at][2:] if lines[at].startswith("  ") and random.random() < 0.5 else "  " + lines[at]
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogatepass")


def mutated_json(data: bytes, most: int, seed: int, fallback: Fallback, names: Sequence[str] = ()) -> bytes:
    """Changes a JSON value, by its tree or by its bytes.

    Args:
        data: The text.
        most: Bytes of the result at most.
        seed: What chance follows from.
        fallback: Changes bytes.
        names: Names that keys may get.

    Returns:
        Another text.
    """
    random = Random(seed)
    if random.random() < 0.25 or len(data) > _LARGEST:
        return fallback(data, most)
    try:
        made = json.dumps(mutated(json.loads(data), random, names)).encode()
    except (ValueError, TypeError, RecursionError):
        return fallback(data, most)
    return made if len(made) <= most else fallback(data, most)
