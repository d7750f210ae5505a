"""The answer to a search, of whatever resource."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from sceau.fhir.outcome import Problem, operation_outcome
from sceau.fhir.parse import Json, Written, write_json


def searchset(
    matches: Iterable[Json | Written],
    *,
    total: int,
    links: Iterable[tuple[str, str]],
    origin: str,
    included: Iterable[Json] = (),
    warnings: Sequence[Problem] = (),
) -> Json:
    """Return the answer to a search.

    `links`: relation (`self`, `next`) and url. `included`: with `search.mode` include. `warnings`: an OperationOutcome.
    """
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": total}
    if link := [{"relation": relation, "url": url} for relation, url in links]:
        bundle["link"] = link
    entries = [_found(resource, "match", origin) for resource in matches]
    entries += [_found(resource, "include", origin) for resource in included]
    if warnings:
        entries.append(_found(operation_outcome(warnings), "outcome", origin))
    if entries:  # an empty array isn't FHIR
        bundle["entry"] = entries
    return bundle


def _found(resource: Json | Written, mode: str, origin: str) -> Json:
    if isinstance(resource, Written):
        url = f"{origin}/fhir/{resource.resource_type}/{resource.id}"
    elif "id" in resource:
        url = f"{origin}/fhir/{resource['resourceType']}/{resource['id']}"
    else:  # it can be read nowhere; MHD wants a fullUrl all the same, so its content names it
        url = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, write_json(resource).decode())}"
    return {"fullUrl": url, "resource": resource, "search": {"mode": mode}}
