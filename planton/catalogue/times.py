"""Times of an archive as text: always UTC, always with a `Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def exact(moment: datetime) -> str:
    """Writes a time as exactly as it is known.

    Args:
        moment: An aware time.

    Returns:
        Such as `2026-11-22T08:14:35.037118Z`; without a fraction where there is none.
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def not_after(moment: datetime) -> str:
    """Writes the last whole second that is not after a time: for people, who may type it as a target.

    Args:
        moment: An aware time.

    Returns:
        Such as `2026-11-22T08:14:35Z`.
    """
    return exact(moment.replace(microsecond=0))


def after(moment: datetime) -> str:
    """Writes the first whole second after a time.

    Args:
        moment: An aware time.

    Returns:
        Such as `2026-11-22T08:14:36Z`.
    """
    return exact(moment.replace(microsecond=0) + timedelta(seconds=1))


def before(moment: datetime) -> str:
    """Writes the last whole second before a time.

    Args:
        moment: An aware time.

    Returns:
        Such as `2026-11-22T08:14:35Z`.
    """
    return not_after(moment - timedelta(microseconds=1))


def age(seconds: float) -> str:
    """Writes how long ago something was.

    Args:
        seconds: Its age in seconds; a negative one counts as none.

    Returns:
        Such as `3 d 4 h`, `2 h 5 min`, `7 min`, `12 s`.
    """
    left = max(int(seconds), 0)
    days, left = divmod(left, 86400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{left} s"
