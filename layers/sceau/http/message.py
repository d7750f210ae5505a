"""A request and an answer as values, free of any framework: what use cases see and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import to_json

from sceau.fhir.parse import Written, write_json

FHIR_JSON = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MAX_PARAMETERS = 200
"""Parameters in a query or a form: far above any real search, and a bound on what parsing may cost."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are lowercase; a repeated header keeps every value."""

    method: str
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    request_id: str
    source_ip: str
    path_parameters: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """The value of a header that may stand once only; repeated values are joined as RFC 9110 says."""
        values = self.headers.get(name.lower())
        return ", ".join(values) if values else None

    def query_pairs(self) -> list[tuple[str, str]]:
        """The URL's parameters in order. Raises ValueError when they are too many or not UTF-8."""
        return _pairs(self.query)

    def form_pairs(self) -> list[tuple[str, str]]:
        """The form body's parameters in order. Raises ValueError likewise (UnicodeDecodeError is one)."""
        return _pairs(self.body.decode("utf-8"))

    def media_type(self) -> str:
        """The Content-Type without its parameters, lowercase; empty when there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=MAX_PARAMETERS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `body` is sent as it is; use `json_answer` for resources."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, extra: Mapping[str, str]) -> Answer:
        """The same answer with more headers; those it has already win."""
        return Answer(self.status, self.body, self.content_type, {**extra, **self.headers})


def json_answer(
    status: int, resource: Mapping[str, Any], headers: Mapping[str, str] | None = None, content_type: str = FHIR_JSON
) -> Answer:
    """An answer that carries a resource or a JSON document of our own making."""
    return Answer(status, to_json(resource), content_type, headers or {})


def resource_answer(
    status: int, resource: Mapping[str, Any] | Written, headers: Mapping[str, str] | None = None
) -> Answer:
    """An answer with a resource that came from outside: its decimals keep their digits."""
    return Answer(status, write_json(resource), FHIR_JSON, headers or {})
