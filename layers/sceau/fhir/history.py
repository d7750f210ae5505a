"""A resource's versions as FHIR's history bundle. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from sceau.fhir.parse import Json
from sceau_schemas.dossier import EntryVersion

Change = Literal["POST", "PUT", "PATCH"]


def changes_of(versions: Sequence[EntryVersion]) -> list[Change]:
    """What made each version of a document entry: its publication, a replacement by another one, a patch."""
    made: list[Change] = ["POST"]
    for before, after in pairwise(versions):
        # Only a replacement changes neither; and what is superseded already may be replaced once more.
        unchanged = (before.labels, before.archived) == (after.labels, after.archived)
        made.append("PUT" if after.status == "superseded" and unchanged else "PATCH")
    return made


def history(versions: Sequence[Json], changes: Sequence[Change], *, origin: str) -> Json:
    """Return the bundle: the newest version first, whatever order `versions` (the first version first) have.

    `changes`: the interaction that made each. R4 wants a request and a response of every entry (bdl-3, bdl-4).
    """
    entries = []
    for resource, method in zip(reversed(versions), reversed(changes), strict=True):
        kind, own_id = resource["resourceType"], resource["id"]
        meta = resource["meta"]
        made = method == "POST"
        entries.append(
            {
                "fullUrl": f"{origin}/fhir/{kind}/{own_id}",
                "resource": resource,
                "request": {"method": method, "url": kind if made else f"{kind}/{own_id}"},
                "response": {
                    "status": "201 Created" if made else "200 OK",
                    "etag": f'W/"{meta["versionId"]}"',
                    "lastModified": meta["lastUpdated"],
                },
            }
        )
    return {"resourceType": "Bundle", "type": "history", "total": len(entries), "entry": entries}
