"""Moments as FHIR and HTTP write them. Milliseconds are since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(millis: int) -> datetime:
    """Return the aware moment of a count of milliseconds."""
    return _EPOCH + timedelta(milliseconds=millis)


def instant(when: int | datetime) -> str:
    """Return a FHIR instant in UTC with milliseconds. Takes milliseconds or an aware moment."""
    at = moment(when) if isinstance(when, int) else when.astimezone(UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(millis: int) -> str:
    """Return the moment as HTTP writes it (RFC 9110, 5.6.7), to the second below."""
    return format_datetime(moment(millis).replace(microsecond=0), usegmt=True)
