"""Answers to conditional reads: ETag, and 304 for what the client has (RFC 9110)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sceau.fhir.parse import Json, Written
from sceau.fhir.resources import last_modified
from sceau.http.message import Answer, Request, resource_answer

_NOT_MODIFIED = 304


def content_tag(resource: Mapping[str, object]) -> str:
    """An ETag of what this caller sees: a set has no version of its own for each view of its documents."""
    return f'W/"{hashlib.sha256(repr(resource).encode()).hexdigest()[:16]}"'


def conditional(request: Request, resource: Json | Written, tag: str, updated: int) -> Answer:
    """200 with ETag, or 304 when the client has this version (`If-None-Match`, weak comparison)."""
    headers = {"ETag": tag, "Last-Modified": last_modified(updated)}
    given = request.header("if-none-match")
    named = {part.strip().removeprefix("W/") for part in given.split(",")} if given else set()
    if "*" in named or tag.removeprefix("W/") in named:
        return Answer(_NOT_MODIFIED, headers=headers)
    return resource_answer(200, resource, headers)
