"""Time as the product writes it: UTC, ISO 8601 text with milliseconds."""

from datetime import UTC, datetime, timedelta


def utc_now() -> str:
    """Now, as `2026-01-31T12:00:00.000+00:00`; texts of it sort by time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def later(moment: str, seconds: float) -> str:
    """The moment some seconds after (or before, if negative) another."""
    moved = datetime.fromisoformat(moment) + timedelta(seconds=seconds)
    return moved.isoformat(timespec="milliseconds")


def seconds_between(start: str, end: str) -> float:
    """How long after one moment another was; below 0 if it was before."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
