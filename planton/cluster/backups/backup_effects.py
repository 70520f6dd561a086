"""What a change does to the backups of databases, in words: restarts, archives, keys, recovery windows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from planton.cluster.api.resources import Key
from planton.cluster.backups.archives import Archives
from planton.cluster.backups.encryption import left_behind, unreadable
from planton.cluster.backups.recovery_window import recovery_window
from planton.translate.archive import ArchiveIdentity
from planton.translate.generation import GENERATIONS
from planton.words import counted, first_few

# So many databases, or variables, are named; of more, how many there are.
_NAMED = 10
_GENERATIONS = frozenset(GENERATIONS)
_STAYS = (
    "what is in the old place stays there, and restores need it; the new place has nothing to restore from until its "
    "first base backup"
)
_SHRINKS = "; it shrinks: what is older goes after the next base backup"

T = TypeVar("T")


def restart_reason(variables: Iterable[str], fields: Iterable[str] = ()) -> str:
    """Says why pods restart.

    Args:
        variables: Names of the variables by which their environment changes.
        fields: Fields of the custom resource that change.

    Returns:
        Such as `new credentials; AWS_REGION and WALG_S3_PREFIX change`; empty without a reason.
    """
    given = list(variables)
    changed = [*fields, *sorted(set(given) - _GENERATIONS)]
    reasons = ["new credentials"] if _GENERATIONS & set(given) else []
    if changed:
        reasons.append(f"{_listed(changed, last=' and ')} {'changes' if len(changed) == 1 else 'change'}")
    return "; ".join(reasons)


def backup_effects(key: Key, archives: Archives) -> list[str]:
    """Says what the change of one custom resource does to its backups.

    Args:
        key: Its identity; alive before.
        archives: What databases inherit and say themselves, before and after.

    Returns:
        Sentences without a full stop; empty when its own environment stays as it is.
    """
    if archives.follows(key):
        return []
    start, end = archives.moves(key)
    effects = []
    if start and not end:
        effects.append(f"backups of {key.name} stop")
    elif end and not start:
        effects.append(f"backups of {key.name} begin")
    elif start and end and start != end:
        effects.append(f"the archive of {key.name} moves from {start} to {end}: {_STAYS}")
    if key in archives.encryption:
        effects.append(_encryption(archives, key, key.name))
    if window := _window(archives, key):
        effects.append(f"recovery window of {key.name}: {window}")
    return effects


def operator_effects(archives: Archives) -> list[str]:
    """Says what a change of the operator's backup settings does to databases that stay as they are.

    Args:
        archives: What databases inherit and say themselves, before and after.

    Returns:
        Sentences without a full stop.
    """
    keys = [key for key in sorted(archives.live) if archives.follows(key)]
    restarting = {key: archives.changed_variables(key) for key in keys}
    restarting = {key: names for key, names in restarting.items() if names}
    effects = []
    if restarting:
        reason = restart_reason(name for names in restarting.values() for name in names)
        effects.append(f"rolling restart of the pods of {_who(restarting)}: {reason}")
    stop = [key for key in keys if archives.moves(key)[0] and not archives.moves(key)[1]]
    begin = [key for key in keys if archives.moves(key)[1] and not archives.moves(key)[0]]
    if stop:
        effects.append(f"backups of {_counted(stop)} stop: {_places(stop)}")
    if begin:
        effects.append(f"backups of {_counted(begin)} begin: {_places(begin)}")
    for where, moving in _grouped(keys, lambda key: _move(archives, key)):
        effects.append(f"the archives of {_counted(moving)} move{where} ({_places(moving)}): {_STAYS}")
    for (same, change), some in _grouped(keys, lambda key: _change_of_encryption(archives, key)):
        effects.append(_encryption_words(same, change, _who(some)))
    for window, some in _grouped(keys, lambda key: _window(archives, key)):
        effects.append(f"recovery window of {_who(some)}: {window}")
    return effects


def _grouped(keys: Iterable[Key], word: Callable[[Key], T | None]) -> list[tuple[T, list[Key]]]:
    groups: dict[T, list[Key]] = defaultdict(list)
    for key in keys:
        found = word(key)
        if found is not None:
            groups[found].append(key)
    return list(groups.items())


def _move(archives: Archives, key: Key) -> str | None:
    """Where an archive moves to, as far as the operator says it for all; None for one that stays."""
    start, end = archives.moves(key)
    if start is None or end is None or start == end:
        return None
    return f" from {_store(start)} to {_store(end)}" if start.store != end.store else ""


def _store(archive: ArchiveIdentity) -> str:
    return archive.store or "Amazon S3"


def _change_of_encryption(archives: Archives, key: Key) -> tuple[bool, tuple[str, str]] | None:
    change = archives.encryption.get(key)
    return (key in archives.reencrypted, change) if change is not None else None


def _encryption(archives: Archives, key: Key, who: str) -> str:
    return _encryption_words(key in archives.reencrypted, archives.encryption[key], who)


def _encryption_words(same_place: bool, change: tuple[str, str], who: str) -> str:
    if same_place:
        return f"what is archived so far of {who} becomes unreadable: {unreadable(*change)}"
    return f"the old archive of {who} {left_behind(*change)}"


def _window(archives: Archives, key: Key) -> str | None:
    """The recovery window before and after; None where it stays, or where there is none to compare."""
    start, end = archives.moves(key)
    if start is None or start != end:
        return None  # There is none, or it begins anew in another place.
    pairs = zip(archives.environments(key), archives.instances(key), strict=True)
    before, after = (recovery_window(one, count) for one, count in pairs)
    if before == after:
        return None
    return f"{before} -> {after}" + (_SHRINKS if after.span < before.span else "")


def _who(keys: Iterable[Key]) -> str:
    found = list(keys)
    return f"{_counted(found)} ({_places(found)})"


def _counted(keys: Sequence[Key]) -> str:
    return counted(len(keys), "database")


def _places(keys: Sequence[Key]) -> str:
    return _listed([f"{key.namespace}/{key.name}" for key in keys])


def _listed(names: Sequence[str], last: str = ", ") -> str:
    if len(names) > _NAMED:
        return first_few(names, _NAMED)
    return last.join([part for part in (", ".join(names[:-1]), *names[-1:]) if part])
