"""`GET /openapi.json`: an OpenAPI 3.1 description made from the declared routes, the search tables and the models.

What stands here and nowhere else is each operation's summary and its possible answers. A route that is declared without
a summary makes the description fail, and a test with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sceau.fhir.search.parameters import TABLES
from sceau.http.consent_search import NAMES as CONSENT_NAMES
from sceau.http.message import FHIR_JSON, FORM, JSON, JSON_PATCH
from sceau.identity.emergency import PARAMETERS
from sceau_schemas.audit import STRING_PARAMETERS, TOKEN_PARAMETERS
from sceau_schemas.deployment import Route
from sceau_schemas.fhir.bundle import Bundle
from sceau_schemas.fhir.consent import Consent
from sceau_schemas.fhir.documents import DocumentReference
from sceau_schemas.fhir.parameters import Parameters

_BODIES: Final[dict[str, type[BaseModel]]] = {
    "Bundle": Bundle,
    "DocumentReference": DocumentReference,
    "Consent": Consent,
    "Parameters": Parameters,
}
_ID: Final = {"type": "string", "pattern": r"^[A-Za-z0-9.\-]{1,64}$"}
_ALWAYS: Final = (401, 403, 413, 503)
_JSON_HTML: Final = "text/html"


@dataclass(frozen=True, slots=True)
class _Operation:
    """What a route does. `answers`: its statuses besides those that every protected route has."""

    summary: str
    answers: tuple[int, ...] = (200,)
    body: str | None = None
    search: str | None = None
    public: bool = False
    produces: tuple[str, ...] = (FHIR_JSON,)


_SEARCHING: Final = (200, 400, 404, 406)
_PATCHING: Final = (200, 400, 404, 405, 406, 409, 412, 415, 422)
_READING: Final = (200, 304, 404, 406)

_OPERATIONS: Final[Mapping[tuple[str, str], _Operation]] = {
    ("POST", "/oauth/token"): _Operation(
        "Get an access token: client_credentials, or token exchange (RFC 8693)",
        (200, 400, 401, 503),
        body="token",
        public=True,
        produces=(JSON,),
    ),
    ("POST", "/oauth/revoke"): _Operation(
        "Revoke a token of one's own (RFC 7009)", (200, 400, 401, 503), body="revoke", public=True, produces=(JSON,)
    ),
    ("GET", "/oauth/jwks"): _Operation(
        "The keys that verify our tokens", (200, 503), public=True, produces=("application/jwk-set+json", JSON)
    ),
    ("GET", "/.well-known/smart-configuration"): _Operation("SMART configuration", public=True, produces=(JSON,)),
    ("GET", "/fhir/.well-known/smart-configuration"): _Operation(
        "SMART configuration, below the FHIR base", public=True, produces=(JSON,)
    ),
    ("GET", "/.well-known/oauth-authorization-server"): _Operation(
        "Authorization server metadata (RFC 8414)", public=True, produces=(JSON,)
    ),
    ("POST", "/fhir"): _Operation(
        "ITI-65: publish a submission set, all or nothing", (200, 400, 404, 406, 409, 415, 422), body="Bundle"
    ),
    ("POST", "/fhir/DocumentReference"): _Operation(
        "ITI-105: publish one document sent inline",
        (201, 400, 404, 406, 409, 415, 422),
        body="DocumentReference",
    ),
    ("PATCH", "/fhir/DocumentReference"): _Operation(
        "TD3.3: change labels, status or isArchived of the entry with a business identifier",
        _PATCHING,
        body="patch",
        search="DocumentReference_condition",
    ),
    ("PATCH", "/fhir/DocumentReference/{resource_id}"): _Operation(
        "TD3.3: change labels, status or isArchived of an entry", _PATCHING, body="patch"
    ),
    ("GET", "/fhir/metadata"): _Operation("CapabilityStatement", (200, 406), public=True),
    ("GET", "/fhir/Patient"): _Operation(
        "TD0.2: is there a record, and what may I do there", _SEARCHING, search="Patient"
    ),
    ("POST", "/fhir/Patient/_search"): _Operation("TD0.2 by form", (*_SEARCHING, 415), body="Patient"),
    ("GET", "/fhir/Patient/{resource_id}"): _Operation("Read the Patient of a record", _READING),
    ("GET", "/fhir/DocumentReference"): _Operation(
        "ITI-67: find document entries", _SEARCHING, search="DocumentReference"
    ),
    ("POST", "/fhir/DocumentReference/_search"): _Operation(
        "ITI-67 by form", (*_SEARCHING, 415), body="DocumentReference_search"
    ),
    ("GET", "/fhir/DocumentReference/{resource_id}"): _Operation("Read a document entry", _READING),
    ("GET", "/fhir/DocumentReference/{resource_id}/_history"): _Operation(
        "The versions of a document entry, the newest first", (200, 404, 406)
    ),
    ("GET", "/fhir/DocumentReference/{resource_id}/_history/{version_id}"): _Operation(
        "Read a version of a document entry", _READING
    ),
    ("GET", "/fhir/List"): _Operation("ITI-66: find submission sets and folders", _SEARCHING, search="List"),
    ("POST", "/fhir/List/_search"): _Operation("ITI-66 by form", (*_SEARCHING, 415), body="List_search"),
    ("GET", "/fhir/List/{resource_id}"): _Operation("Read a submission set or folder", _READING),
    ("GET", "/fhir/Binary/{resource_id}"): _Operation(
        "ITI-68: a document, in its own media type or as a Binary", (200, 404, 406), produces=("*/*",)
    ),
    ("GET", "/fhir/Bundle/{resource_id}"): _Operation("ITI-68 of a FHIR document", (200, 404, 406)),
    ("GET", "/fhir/Consent"): _Operation(
        "The opening of a record and its authorisations", _SEARCHING, search="Consent"
    ),
    ("GET", "/fhir/Consent/{resource_id}"): _Operation("Read a decision", _READING),
    ("GET", "/fhir/Consent/{resource_id}/_history"): _Operation("The versions of a decision", (200, 404, 406)),
    ("POST", "/fhir/Consent"): _Operation(
        "Open a record, or record a decision about it", (200, 201, 400, 404, 406, 409, 415, 422), body="Consent"
    ),
    ("PUT", "/fhir/Consent/{resource_id}"): _Operation(
        "Close or reopen a record, end a decision, or answer one",
        (200, 400, 404, 406, 409, 412, 415, 422),
        body="Consent",
    ),
    ("GET", "/fhir/AuditEvent"): _Operation(
        "ITI-81: who did what on one's record; what a structure's own professionals did",
        (*_SEARCHING, 422),
        search="AuditEvent",
        produces=(FHIR_JSON, "text/csv"),
    ),
    ("GET", "/fhir/AuditEvent/{resource_id}"): _Operation("Read one event", (200, 404, 406)),
    ("GET", "/fhir/Communication"): _Operation(
        "Notices of a record; a structure's emergency accesses", (*_SEARCHING, 422), search="Communication"
    ),
    ("POST", "/fhir/Communication/{resource_id}/$review"): _Operation(
        "An emergency access was reviewed", (200, 404, 406, 422)
    ),
    ("GET", "/ops/emergency-reviews"): _Operation(
        "Counts and ages of emergency accesses that wait for their review",
        (200, 422),
        search="emergency-reviews",
        produces=(JSON,),
    ),
    ("GET", "/fhir/AuditEvent/{resource_id}/$proof"): _Operation(
        "The .tlog-proof file that proves that an event is in the log", (200, 404, 406), produces=("text/plain",)
    ),
    ("GET", "/openapi.json"): _Operation("This description", public=True, produces=(JSON,)),
    ("GET", "/openapi.html"): _Operation("This description as a page", public=True, produces=(_JSON_HTML,)),
}


def openapi(routes: Iterable[Route], *, origin: str, version: str) -> dict[str, Any]:
    """Return the description of a stage at `origin`. Raises KeyError for a route that nothing is said about."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.path.startswith("/healthz/"):
            operation = _Operation("Health probe", (200, 503), public=True, produces=(JSON,))
        else:
            operation = _OPERATIONS[route.method, route.path]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, operation)
    _, definitions = models_json_schema([(model, "validation") for model in _BODIES.values()])
    schemas = _moved(definitions.get("$defs", {}))
    schemas["OperationOutcome"] = _OUTCOME
    schemas["OAuthError"] = _OAUTH_ERROR
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sceau",
            "version": version,
            "description": "Dossier médical partagé: PDSm / IHE MHD. Access tokens are bound by DPoP (RFC 9449).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": origin}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`DPoP <access token>`, with a proof of its own in the header `DPoP`",
                }
            },
        },
    }


def _operation(route: Route, operation: _Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = []
    for name in ("resource_id", "version_id"):
        if f"{{{name}}}" in route.path:
            parameters.append({"name": name, "in": "path", "required": True, "schema": _ID})
    if operation.search:
        parameters += _search_parameters(operation.search)
    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{route.method.lower()}_{route.path}").strip("_")
    described: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "responses": {str(status): _answer(route, operation, status) for status in _statuses(operation)},
    }
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = _body(operation.body)
    if not operation.public:
        described["security"] = [{"token": []}]
    return described


def _statuses(operation: _Operation) -> list[int]:
    return sorted({*operation.answers, *(() if operation.public else _ALWAYS), 400, 413, 414})


def _answer(route: Route, operation: _Operation, status: int) -> dict[str, Any]:
    if status == 304:  # noqa: PLR2004 - Not Modified
        return {"description": "Not modified"}
    if status < 300:  # noqa: PLR2004 - a success
        return {"description": "Done", "content": {media: {} for media in operation.produces}}
    schema = "OAuthError" if route.path.startswith("/oauth/") and status not in (413, 414) else "OperationOutcome"
    reference = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": _REASONS[status], "content": {JSON if schema == "OAuthError" else FHIR_JSON: reference}}


def _body(name: str) -> dict[str, Any]:
    if name in ("token", "revoke"):
        return {"required": True, "content": {FORM: {"schema": _TOKEN_FORM if name == "token" else _REVOKE_FORM}}}
    if name == "patch":
        parameters = {"$ref": "#/components/schemas/Parameters"}
        return {"required": True, "content": {JSON_PATCH: {"schema": _JSON_PATCH}, FHIR_JSON: {"schema": parameters}}}
    if name == "Patient" or name.endswith("_search"):
        resource = name.removesuffix("_search")
        properties = {one["name"]: one["schema"] for one in _search_parameters(resource)}
        return {"required": True, "content": {FORM: {"schema": {"type": "object", "properties": properties}}}}
    reference = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    return {"required": True, "content": {FHIR_JSON: reference, JSON: reference}}


def _search_parameters(resource: str) -> list[dict[str, Any]]:
    if resource in TABLES:
        return [_parameter(one.name, one.doc) for one in TABLES[resource]]
    if resource == "AuditEvent":
        names = ("date", "patient.identifier", *TOKEN_PARAMETERS, *STRING_PARAMETERS, "_count")
        return [_parameter(name, "ITI-81") for name in names]
    if resource == "DocumentReference_condition":
        of_the_document = _parameter("identifier", "Of the document, as system|value", required=True)
        return [of_the_document, *_search_parameters("record")]
    if resource == "Communication":
        names = ("patient", "patient.identifier", "sent", "category", "status")
        return [_parameter(name, "Notices, derived when they are read") for name in names]
    if resource == "emergency-reviews":
        return [_parameter("date", "When they were declared"), _parameter("status", "in-progress, completed")]
    if resource == "Patient":
        return [_parameter("identifier", "INS, as system|value", required=True)]
    own = [_parameter("patient", "The record's Patient"), _parameter("patient.identifier", "INS, as system|value")]
    return own + ([_parameter(name, text) for name, text in CONSENT_NAMES.items()] if resource == "Consent" else [])


def _parameter(name: str, text: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": {"type": "string"}}


def _moved(definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Schemas as components: their references point there."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: item.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else moved(item)
                for key, item in value.items()
            }
        return [moved(item) for item in value] if isinstance(value, list) else value

    return {name: moved(schema) for name, schema in definitions.items()}


_REASONS: Final = {
    400: "Not FHIR, or not a request that can be read",
    401: "No token, or not a valid one; WWW-Authenticate says why",
    403: "A right is missing; the text says of which kind",
    404: "Unknown, not visible to the caller, or of another record",
    405: "Another element than those that can be changed",
    406: "This is not to be had in a form that the client accepts",
    409: "Against what the record holds; nothing changed",
    412: "The resource has another version",
    413: "The body is over the stage's limit",
    414: "The address is too long",
    415: "The body is of a type that is not taken",
    422: "FHIR, but not PDSm or not a rule of this service",
    503: "Not done, or not known whether it was: send it again",
}

_JSON_PATCH: Final = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {"op": {"enum": ["add", "replace", "remove"]}, "path": {"type": "string"}, "value": {}},
    },
}
_OUTCOME: Final = {
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {
        "resourceType": {"const": "OperationOutcome"},
        "id": {"type": "string"},
        "issue": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["severity", "code"],
                "properties": {
                    "severity": {"enum": ["fatal", "error", "warning", "information"]},
                    "code": {"type": "string"},
                    "diagnostics": {"type": "string"},
                    "expression": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
_OAUTH_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
_TOKEN_FORM: Final = {
    "type": "object",
    "required": ["grant_type", "scope", "client_assertion", "client_assertion_type"],
    "properties": {
        name: {"type": "string"}
        for name in (
            "grant_type",
            "scope",
            "client_assertion",
            "client_assertion_type",
            "subject_token",
            "subject_token_type",
            "actor_token",
            "actor_token_type",
            "patient",
            "connexion_secrete",
            *PARAMETERS,
        )
    },
}
_REVOKE_FORM: Final = {
    "type": "object",
    "required": ["token", "client_assertion", "client_assertion_type"],
    "properties": {name: {"type": "string"} for name in ("token", "client_assertion", "client_assertion_type")},
}
