"""What a pre-flight says of times that cannot be reached, with the nearest that can."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from planton.catalogue.times import after, age, exact, not_after

if TYPE_CHECKING:
    from planton.catalogue.choice import Choice
    from planton.catalogue.model import Catalogue, Hole

_SECOND = timedelta(seconds=1)
_NAMED = 3


def command(action: str, source: str) -> str:
    """Names the command that shows an archive, or adds to it.

    Args:
        action: What it does.
        source: Name of the database whose archive it is; empty where no command knows it.

    Returns:
        A colon and the command; empty without one.
    """
    return f": planton backups {action} {source}" if source else ""


def no_base_backup(catalogue: Catalogue, source: str) -> str:
    """Says that there is nothing to start from.

    Args:
        catalogue: What is in the archive.
        source: Name of the database whose archive it is; empty for one that is given by its place.

    Returns:
        Why, and what to do.
    """
    make = "Make one first" + command("create", source)
    if catalogue.unfinished:
        begun = ", ".join(catalogue.unfinished[:_NAMED]) + (" …" if len(catalogue.unfinished) > _NAMED else "")
        return (
            f"it has no finished base backup yet: {begun} was begun, and is either being made right now or broken off. "
            f"Wait for it, or look why it did not end. {make}"
        )
    if catalogue.is_empty:
        return (
            "it is empty: nothing was ever archived there, or it is not the right place. A restore would come up as an "
            f"empty database. Where it is the right place, {make[0].lower()}{make[1:]}"
        )
    return f"it has no base backup, and nothing can be restored from WAL alone. {make}"


def ends(catalogue: Catalogue) -> str:
    """Gives the last time to which a restore can go, as a person types it.

    Args:
        catalogue: What is in the archive, with a time to which a restore can go.

    Returns:
        The last whole second in its windows; with its fraction where no whole one is.
    """
    last = max(catalogue.spans, key=lambda one: one.end)
    return _typed(catalogue, last.end if last.includes_end else last.end - timedelta(microseconds=1), -_SECOND)


def out_of_reach(catalogue: Catalogue, choice: Choice, written: str, target: datetime, *, now: datetime) -> str:
    """Says why a time cannot be reached, and which can.

    Args:
        catalogue: What is in the archive, with at least one base backup.
        choice: What a restore to that time would do.
        written: The time as it stands in the manifest.
        target: The same.
        now: The time, in UTC.

    Returns:
        Why, and what would work.
    """
    why = choice.problem
    hole = _hole(catalogue, target)
    if choice.after is not None and hole is not None:
        why = f"no restore can go to a time from {not_after(hole.start)} to {after(hole.end)}: {hole.reason}"
    elif choice.after is None and choice.before is not None:
        last = max(catalogue.spans, key=lambda one: one.end)
        about = "" if last.is_exact else ", as far as one can tell without its last commit"
        more = hole.reason if hole is not None else choice.problem if choice.backup and choice.backup.problem else ""
        why = f"the archive reaches until {not_after(last.end)}{about}" + (f" ({more})" if more else "")
    future = f", which is {age((target - now).total_seconds())} in the future," if target > now else ""
    return f"a restore to {written}{future} is not possible: {why}. {_nearest(catalogue, choice)}"


def _hole(catalogue: Catalogue, target: datetime) -> Hole | None:
    holes = (one for lineage in catalogue.lineages for one in lineage.window.holes)
    return next((one for one in holes if one.start <= target <= one.end), None)


def _nearest(catalogue: Catalogue, choice: Choice) -> str:
    times = []
    if choice.before is not None:
        times.append(f"{_typed(catalogue, choice.before, -_SECOND)} before it")
    if choice.after is not None:
        times.append(f"{_typed(catalogue, choice.after, _SECOND)} after it")
    if not times:
        return "No time at all can be restored from it"
    if choice.before is None:
        return f"The first time that can be restored is {times[0].removesuffix(' after it')}"
    everything = "" if choice.after is not None else "; or all that is archived, without target_time (--to latest)"
    return f"The nearest time that can be restored is {' and '.join(times)}{everything}"


def _typed(catalogue: Catalogue, moment: datetime, towards: timedelta) -> str:
    """Writes a time that can be reached: a whole second where that one can be, too."""
    whole = moment.replace(microsecond=0)
    if towards > timedelta() and whole != moment:
        whole += _SECOND
    return exact(whole) if any(one.contains(whole) for one in catalogue.spans) else exact(moment)


def size_text(size: int) -> str:
    """Writes a size for people.

    Args:
        size: Bytes.

    Returns:
        Such as `4.2 MiB`.
    """
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
