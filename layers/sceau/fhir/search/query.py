"""What a client asks for, parsed and checked: the parameters of URL and form body become a `Query`.

Repetition means AND, a comma OR. A value that is not understood is refused with 400 naming the parameter, never
echoing the value: it may be a patient's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Never, TypeVar

from sceau.fhir.codes import canonical_system
from sceau.fhir.outcome import FhirError, Problem
from sceau.fhir.search.criteria import (
    Criterion,
    DateCriterion,
    MissingCriterion,
    Query,
    ReferenceCriterion,
    SortKey,
    StringCriterion,
    Token,
    TokenCriterion,
)
from sceau.fhir.search.dates import Bound, parse_bound
from sceau.fhir.search.ignoring import speakable
from sceau.fhir.search.parameters import ELSEWHERE, Parameter, find_parameter
from sceau.fhir.search.text import fold, local_reference, split_unescaped, unescape
from sceau_schemas.dossier import StoredIdentifier

__all__ = ["Query", "parse_query"]

MAX_PARAMETERS = 40
MAX_ALTERNATIVES = 50
MAX_BYTES = 4096  # of names and values together, UTF-8: a page token must still fit into a URL
DEFAULT_COUNT = 50
MAX_COUNT = 200

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
T = TypeVar("T")


def parse_query(
    resource: str,
    pairs: Sequence[tuple[str, str]],
    *,
    strict: bool,
    now: datetime,
    zone: tzinfo = UTC,
    base_urls: Sequence[str] = (),
) -> Query:
    """Return the query that decoded (name, value) pairs of URL and form body make.

    `strict`: `Prefer: handling=strict`, an unknown parameter or sort key is refused; else it is ignored and named in
    `warnings`. `zone`: of dates that have none. `base_urls`: our FHIR bases, no slash at the end.
    FhirError 400: too much, unknown under `strict`, a modifier or value that is not understood, no patient.
    """
    _check_size(pairs)
    parser = _Parser(resource, now, zone, tuple(base_urls))
    for name, value in pairs:
        if name not in ELSEWHERE:
            parser.add(name, value)
    return parser.finish(strict=strict)


@dataclass(slots=True)
class _Parser:
    """Gathers a query parameter by parameter."""

    resource: str
    now: datetime
    zone: tzinfo
    base_urls: tuple[str, ...]
    criteria: list[Criterion] = field(default_factory=list)
    references: set[str] = field(default_factory=set)
    identifiers: set[tuple[str, str]] = field(default_factory=set)
    controls: dict[str, str] = field(default_factory=dict)
    sort: list[SortKey] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[Problem] = field(default_factory=list)

    def add(self, name: str, value: str) -> None:
        found = find_parameter(self.resource, name)
        if found is None:
            self._ignore(f"search parameter {speakable(name)} is not supported")
            return
        parameter, modifier = found
        if modifier is not None and modifier not in parameter.modifiers:
            # R4: a modifier that isn't supported SHALL be refused, however lenient the handling.
            _refuse(parameter, f"modifier {speakable(modifier)} is not supported", code="not-supported")
        if not value:
            _refuse(parameter, "has no value")
        if parameter.role == "patient":
            self._patient(parameter, value)
        elif parameter.role == "control":
            self._control(parameter, value)
        else:
            self.criteria.append(self._criterion(parameter, modifier, value))
            self.pairs.append((name, value))

    def finish(self, *, strict: bool) -> Query:
        if "_sort" in self.controls:
            self._sort(self.controls["_sort"])
        if strict and self.ignored:
            raise FhirError(400, *(Problem(p.code, p.text, severity="error") for p in self.ignored))
        if not self.references and not self.identifiers:
            raise FhirError(
                400, Problem("required", "patient or patient.identifier is required", rule="MHD ITI-66, ITI-67")
            )
        if len(self.references) > 1 or len(self.identifiers) > 1:
            raise FhirError(400, Problem("invalid", "patient and patient.identifier name one patient"))
        count = int(self.controls.get("_count", DEFAULT_COUNT))
        return Query(
            resource=self.resource,
            criteria=tuple(self.criteria),
            patient_reference=next(iter(self.references), None),
            patient_identifiers=tuple(StoredIdentifier(system=s, value=v) for s, v in self.identifiers),
            sort=tuple(self.sort) or _newest_first(self.resource),
            count=min(count, MAX_COUNT),
            count_only=count == 0 or self.controls.get("_summary") == "count",
            now=self.now,
            pairs=(*self.pairs, *self.controls.items()),
            warnings=tuple(self.ignored),
        )

    def _ignore(self, text: str) -> None:
        self.ignored.append(Problem("not-supported", text, severity="warning"))

    def _patient(self, parameter: Parameter, value: str) -> None:
        (alternative,) = _alternatives(parameter, value, most=1)
        if parameter.holds == "identifier" or len(split_unescaped(alternative, "|")) > 1:
            token = _parsed(parameter, "expected system|value", _token, alternative)
            if not token.system or not token.code:
                _refuse(parameter, "expected system|value")
            self.identifiers.add((token.system, token.code))
        else:
            reference = _parsed(parameter, "expected a reference", unescape, alternative)
            self.references.add(local_reference(reference, "Patient", self.base_urls).removeprefix("Patient/"))

    def _control(self, parameter: Parameter, value: str) -> None:
        if parameter.name in self.controls:
            _refuse(parameter, "stands more than once")
        if parameter.name == "_count" and not _COUNT.fullmatch(value):
            _refuse(parameter, "expected a number, 0 or more")
        if parameter.name == "_summary" and value not in {"count", "false"}:
            _refuse(parameter, "expected count or false")
        self.controls[parameter.name] = value

    def _sort(self, value: str) -> None:
        for key in value.split(","):
            descending = key.startswith("-")
            found = find_parameter(self.resource, key.removeprefix("-"))
            if found is None or found[1] is not None or not found[0].sortable:
                self._ignore(f"_sort: {speakable(key.removeprefix('-'))} is not a key to sort by")
            elif all(found[0] is not earlier.parameter for earlier in self.sort):
                self.sort.append(SortKey(found[0], descending))

    def _criterion(self, parameter: Parameter, modifier: str | None, value: str) -> Criterion:
        if modifier == "missing":
            if value not in {"true", "false"}:
                _refuse(parameter, "with :missing expected true or false")
            return MissingCriterion(parameter, value == "true")
        alternatives = _alternatives(parameter, value, most=MAX_ALTERNATIVES)
        match parameter.type:
            case "date":
                return DateCriterion(parameter, tuple(self._bound(parameter, text) for text in alternatives))
            case "string":
                expected = "expected a text"
                texts = tuple(fold(_parsed(parameter, expected, unescape, text)) for text in alternatives)
                if not all(texts):  # nothing but accents: would match everything
                    _refuse(parameter, expected)
                return StringCriterion(parameter, texts, contains=modifier == "contains")
            case "reference":
                references = (_parsed(parameter, "expected a reference", unescape, text) for text in alternatives)
                return ReferenceCriterion(parameter, tuple(self._reference(parameter, r) for r in references))
            case _:
                return TokenCriterion(
                    parameter, tuple(_coded(parameter, text) for text in alternatives), negated=modifier == "not"
                )

    def _bound(self, parameter: Parameter, text: str) -> Bound:
        expected = (
            "expected a date, YYYY-MM-DDThh:mm:ss.sss with zone or its beginning, after eq ne lt le gt ge sa eb ap"
        )
        return _parsed(parameter, expected, lambda t: parse_bound(t, now=self.now, zone=self.zone), text)

    def _reference(self, parameter: Parameter, reference: str) -> str:
        return local_reference(reference, parameter.target, self.base_urls) if parameter.target else reference


def _newest_first(resource: str) -> tuple[SortKey, ...]:
    found = find_parameter(resource, "date")
    return (SortKey(found[0], descending=True),) if found else ()


def _check_size(pairs: Sequence[tuple[str, str]]) -> None:
    if len(pairs) > MAX_PARAMETERS:
        raise FhirError(400, Problem("too-costly", f"a search takes at most {MAX_PARAMETERS} parameters"))
    try:
        size = sum(len(name.encode()) + len(value.encode()) for name, value in pairs)
    except UnicodeEncodeError:  # a lone surrogate: no text that a client can have meant
        raise FhirError(400, Problem("invalid", "search parameters are not text")) from None
    if size > MAX_BYTES:
        raise FhirError(400, Problem("too-long", f"a search takes at most {MAX_BYTES} bytes of parameters"))
    if any(_CONTROL_CHARACTER.search(value) for _, value in pairs):
        raise FhirError(400, Problem("invalid", "search parameters have control characters"))


def _alternatives(parameter: Parameter, value: str, *, most: int) -> list[str]:
    parts = split_unescaped(value, ",")
    if len(parts) > most:
        _refuse(parameter, f"takes at most {most} value{'s' if most > 1 else ''}", code="too-costly")
    if not all(parts):
        _refuse(parameter, "has an empty alternative")
    return parts


def _token(text: str) -> Token:
    parts = [unescape(part) for part in split_unescaped(text, "|")]
    if len(parts) == 1:
        return Token(None, parts[0])
    system, code = parts  # ValueError: more than one unescaped bar
    if not system and not code:
        raise ValueError("an empty token")
    return Token(system, code or None)


def _coded(parameter: Parameter, text: str) -> Token:
    token = _parsed(parameter, "expected system|code, code, |code or system|", _token, text)
    if parameter.holds == "closed":
        if token.code not in parameter.codes or token.system not in {None, "", *parameter.systems}:
            _refuse(parameter, f"expected one of {', '.join(parameter.codes)}", code="code-invalid")
        return Token(None, token.code)  # the system is implicit in a FHIR code
    if parameter.holds == "coding" and token.system:
        return Token(canonical_system(token.system), token.code)
    return token


def _parsed(parameter: Parameter, expected: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError:
        # `from None`: the cause's text may quote the value
        raise FhirError(400, Problem("value", f"{parameter.name}: {expected}")) from None


def _refuse(parameter: Parameter, text: str, *, code: str = "value") -> Never:
    raise FhirError(400, Problem(code, f"{parameter.name}: {text}"))
