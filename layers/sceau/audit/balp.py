"""From facts to the exact bytes of a FHIR R4 AuditEvent.

The bytes are what is committed to, sealed and shown: they are never parsed and written again. Only a success claims
profiles: the profiles fix `outcome` to 0, so a refusal has the same shape and no `meta.profile`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sceau.audit import shapes
from sceau.audit.facts import (
    Client,
    Coding,
    Entered,
    Entity,
    EventFacts,
    Identifier,
    Outcome,
    OwnAct,
    OwnFacts,
    RefusalCounts,
    Request,
    Server,
    User,
)
from sceau.audit.ids import event_time
from sceau.audit.redact import hide_ins, kept_search, kept_token_request
from sceau.audit.shapes import SHAPES, Shape

_LONGEST_NAME = 256
_LONGEST_REASON = 1000
_URI = "urn:ietf:rfc:3986"
_JTI = "urn:ietf:params:oauth:jti:"

Json = dict[str, Any]


def event_bytes(facts: EventFacts | OwnFacts | RefusalCounts, event_id: str) -> bytes:
    """The AuditEvent of `facts`; `recorded` is the time of `event_id`.

    Compact JSON in UTF-8, elements in the order of the specification. Raises ValueError when facts are missing.
    """
    if isinstance(facts, RefusalCounts):
        event = _refusals(facts)
    else:
        event = _own_act(facts) if isinstance(facts, OwnFacts) else _act(facts)
    event["id"], event["recorded"] = event_id, _instant(event_time(event_id))
    ordered = {name: event[name] for name in _ORDER if event.get(name)}
    # A lone surrogate in somebody's name must not stop the trace.
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


_ORDER = (
    *("resourceType", "id", "meta", "type", "subtype", "action", "period", "recorded", "outcome", "outcomeDesc"),
    *("purposeOfEvent", "agent", "source", "entity"),
)


def _act(facts: EventFacts) -> Json:
    shape = SHAPES[facts.act]
    success = facts.outcome is Outcome.SUCCESS
    profiles = _profiles(shape, facts) if success else []
    subtypes = shape.subtypes if success else shape.subtypes + shape.refused_subtypes
    return {
        "resourceType": "AuditEvent",
        "meta": {"profile": profiles} if profiles else {},
        "type": _coding(shape.type),
        "subtype": [_coding(subtype) for subtype in subtypes],
        "action": shape.action,
        "outcome": facts.outcome.value,
        "outcomeDesc": facts.reason,
        "purposeOfEvent": [_concept(facts.purpose)] if facts.purpose else [],
        "agent": list(_agents(shape, facts)),
        "source": _source(facts.server),
        "entity": list(_entities(shape, facts)),
    }


_OWN_TYPES = {
    OwnAct.REWRAP: (shapes.ENCRYPT, "U"),
    OwnAct.CLOSE: (shapes.ARCHIVE, "U"),
    OwnAct.DELETE: (shapes.DESTROY, "D"),
    OwnAct.RESTORE: (shapes.RESTORE, "U"),
    OwnAct.EXPUNGE: (shapes.DESTROY, "D"),
}


def _own_act(facts: OwnFacts) -> Json:
    """No profile of BALP is of an act without a caller: a plain AuditEvent, with us as who did it."""
    patient = {"reference": f"Patient/{facts.record_id}"}
    details = [{"type": name, "valueString": value} for name, value in sorted(facts.details.items())]
    record: Json = {"what": patient, "type": _coding(shapes.SYSTEM_OBJECT), "role": _coding(shapes.PATIENT_ROLE)}
    kind, action = _OWN_TYPES[facts.act]
    return {
        "resourceType": "AuditEvent",
        "type": _coding(kind),
        "action": action,
        "outcome": Outcome.SUCCESS.value,
        "agent": [_server(facts.server, shapes.APPLICATION) | {"requestor": True}],
        "source": _source(facts.server),
        "entity": [record | ({"detail": details} if details else {})],
    }


def _refusals(facts: RefusalCounts) -> Json:
    details = [{"type": reason, "valueString": str(count)} for reason, count in sorted(facts.counts.items())]
    return {
        "resourceType": "AuditEvent",
        "type": _coding(shapes.USER_AUTHENTICATION),
        "subtype": [_coding(shapes.LOGIN)],
        "action": "E",
        "period": {"start": _instant(facts.first), "end": _instant(facts.last)},
        "outcome": Outcome.REFUSED.value,
        "outcomeDesc": "unauthenticated",
        "agent": [_server(facts.server, shapes.AUTHORIZATION_SERVER)],
        "source": _source(facts.server),
        "entity": [
            {
                "type": _coding(shapes.SYSTEM_OBJECT),
                "role": _coding(shapes.SECURITY_RESOURCE),
                "description": "requests refused before authentication, by reason",
                "detail": details,
            }
        ],
    }


def _profiles(shape: Shape, facts: EventFacts) -> list[str]:
    """The profiles that a success meets. Those of a patient's data fit only when the event is about a record."""
    profiles = []
    if shape.basic:
        profiles.append(f"{shapes.BALP}IHE.BasicAudit.{'Patient' if facts.record_id else ''}{shape.basic}")
    if shape.profile and (facts.record_id or shape.closed):
        profiles.append(shape.profile)
    if not shape.closed:
        profiles.append(shapes.OAUTH_PROFILE)
    return profiles


def _agents(shape: Shape, facts: EventFacts) -> Iterator[Json]:
    if shape.client:
        yield _client(facts.client, shape.client) | {"requestor": False, "network": _network(facts.client)}
    server = _server(facts.server, shape.server)
    yield server | {"policy": list(facts.policies)} if facts.policies else server
    policy = [_JTI + facts.token_id] if facts.token_id else []
    software = _client(facts.client, shapes.APPLICATION) | {"requestor": facts.user is None}
    if policy:
        software["policy"] = policy
    if not shape.client:
        software["network"] = _network(facts.client)
    yield software
    if facts.user:
        yield _user(facts.user, shape.user, policy, facts.purpose)
    if facts.structure and not shape.closed:
        identifier, name = facts.structure.identifier, facts.structure.name
        yield {"type": _concept(shapes.PROVIDER), "who": _structure(identifier, name), "requestor": False}


def _client(client: Client, kind: Coding) -> Json:
    return {"type": _concept(kind), "who": _logical(Identifier(client.issuer, client.client_id), client.name)}


def _network(client: Client) -> Json:
    return {"address": client.address, "type": "2"}  # an IP address


def _server(server: Server, kind: Coding) -> Json:
    network = {"address": server.origin, "type": "5"}  # a URI
    return {"type": _concept(kind), "who": _observer(server), "requestor": False, "network": network}


def _observer(server: Server) -> Json:
    """Who we are: the same in `agent` and in `source`, which the MHD profiles compare."""
    return _logical(server.identifier, server.name)


def _user(user: User, kind: Coding, policy: list[str], purpose: Coding | None) -> Json:
    agent: Json = {"type": _concept(kind)}
    if user.role:
        agent["role"] = [_concept(user.role)]
    agent["who"] = ({"reference": user.reference} if user.reference else {}) | _logical(user.identifier, user.name)
    if name := _text(user.name):
        agent["name"] = name
    agent["requestor"] = True
    if policy:
        agent["policy"] = policy
    if purpose:
        agent["purposeOfUse"] = [_concept(purpose)]
    return agent


def _source(server: Server) -> Json:
    site = server.origin.partition("://")[2] or server.origin
    return {"site": site, "observer": _observer(server), "type": [_coding(shapes.APPLICATION_SERVER)]}


def _entities(shape: Shape, facts: EventFacts) -> Iterator[Json]:
    if shape.closed:
        yield _token_request(facts)
        return
    if facts.record_id:
        patient = {"reference": f"Patient/{facts.record_id}"}
        yield {"what": patient, "type": _coding(shapes.PERSON), "role": _coding(shapes.PATIENT_ROLE)}
    yield _query(facts) if shape.role == shapes.QUERY else _data(shape, facts)
    for other in facts.others:
        kind = (other.reference or "Basic/").partition("/")[0]
        lifecycle = shapes.AMENDMENT if other.superseded or other.amended else shape.lifecycle
        yield _entity(other, shapes.resource_type(kind), _role(other), lifecycle)
    if facts.request_id:
        yield {"what": {"identifier": {"value": facts.request_id}}, "type": _coding(shapes.REQUEST_ID)}


def _query(facts: EventFacts) -> Json:
    return _request_entity(kept_search(_request(facts), facts.server.origin))


def _token_request(facts: EventFacts) -> Json:
    """IUA's profile has room for one entity, without identifier: what else is known stands in its details."""
    known = {
        "patient": f"Patient/{facts.record_id}" if facts.record_id else None,
        "structure": _pair(facts.structure.identifier) if facts.structure else None,
        "request-id": facts.request_id,
        **_entered(facts.entered),
    }
    details = [{"type": name, "valueString": value} for name, value in known.items() if value]
    entity = _request_entity(kept_token_request(_request(facts), facts.server.origin))
    return entity | ({"detail": details} if details else {})


def _entered(entered: Entered | None) -> dict[str, str | None]:
    if entered is None:
        return {}
    return {
        "mode": entered.mode,
        "mode-until": _instant(entered.until) if entered.until else None,
        "mode-reason": hide_ins(_text(entered.reason, _LONGEST_REASON)) or None,
        "declaration": entered.declaration,
    }


def _request(facts: EventFacts) -> Request:
    if facts.request is None:
        raise ValueError("the event of a query, or of a token, holds its request")
    return facts.request


def _request_entity(kept: bytes) -> Json:
    query = base64.b64encode(kept).decode("ascii")
    return {"type": _coding(shapes.SYSTEM_OBJECT), "role": _coding(shapes.QUERY), "query": query}


def _data(shape: Shape, facts: EventFacts) -> Json:
    data = facts.data or Entity()
    if facts.outcome is Outcome.SUCCESS and data.reference is None:
        raise ValueError("the event of an act on a resource names it")
    return _entity(data, shapes.SYSTEM_OBJECT, shape.role or _role(data), shape.lifecycle)


def _entity(entity: Entity, kind: Coding, role: Coding, lifecycle: Coding | None) -> Json:
    what: Json = {}
    if entity.reference:
        what["reference"] = entity.reference
    if entity.identifier:
        what["identifier"] = _identifier(entity.identifier)
    made: Json = {"what": what} if what else {}
    made |= {"type": _coding(kind), "role": _coding(role)}
    if lifecycle:
        made["lifecycle"] = _coding(lifecycle)
    if entity.labels:
        made["securityLabel"] = [_coding(label) for label in entity.labels]
    if entity.sha256:
        made["detail"] = [{"type": "sha256", "valueString": entity.sha256.hex()}]
    return made


def _role(entity: Entity) -> Coding:
    """The object role of a resource, of the three that BALP allows."""
    kind = (entity.reference or "").partition("/")[0]
    return {"Binary": shapes.REPORT, "Bundle": shapes.REPORT, "List": shapes.JOB}.get(kind, shapes.DOMAIN_RESOURCE)


def _logical(identifier: Identifier, name: str | None) -> Json:
    text = _text(name)
    return {"identifier": _identifier(identifier)} | ({"display": text} if text else {})


def _structure(identifier: Identifier, name: str | None) -> Json:
    """A structure by its whole identifier: of 15 digits (a SIRET behind a 3), it only looks like an INS. It comes from
    registrations and from Pro Santé Connect, never from what is sent."""
    return _logical(identifier, name) | {"identifier": {"system": identifier.system, "value": identifier.value}}


def _identifier(identifier: Identifier) -> Json:
    """A producer's own identifier may be made from the patient's INS, which then does not stand here."""
    return ({"system": identifier.system} if identifier.system else {}) | {"value": hide_ins(identifier.value)}


def _pair(identifier: Identifier) -> str:
    return f"{identifier.system}|{identifier.value}"


def _coding(coding: Coding) -> Json:
    return {"system": coding.system, "code": coding.code} | ({"display": coding.display} if coding.display else {})


def _concept(coding: Coding) -> Json:
    return {"coding": [_coding(coding)]}


def _text(text: str | None, longest: int = _LONGEST_NAME) -> str:
    """A name as a FHIR string: printable, single spaces, not endless."""
    printable = "".join(character if character.isprintable() else " " for character in text or "")
    return " ".join(printable.split())[:longest].rstrip()


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
