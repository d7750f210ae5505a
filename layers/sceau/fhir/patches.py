"""TD3.3a–d: what a PATCH of a document entry asks for, and what the labels are after it. Pure.

Three elements can be patched (PDSm st_maj): `securityLabel`, `status` (to entered-in-error), and the isArchived
extension. Another element is 405, a value that is not one of these 422.

| form | paths |
|---|---|
| JSON Patch (RFC 6902: add, replace, remove) | `/securityLabel`, `/securityLabel/<n>`, `/securityLabel/-`, `/status`, `/extension[url:'…']/valueBoolean`, `/extension/<n>/valueBoolean`, `/extension/-` |
| FHIRPath Patch (Parameters: add, replace, delete) | `DocumentReference.securityLabel`, `….securityLabel[<n>]`, `….status`, `….extension('…').value`, `….extension.where(url='…').value`, and `DocumentReference` with a name, to add |

`replace` of what is absent acts as `add`: the guide's bodies need it. The producer's own confidentiality (R, V) stays
whatever a patch of index 0 says, since the guide's bodies know nothing of it; an empty list becomes N.
"""  # noqa: E501 - a table

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sceau.access.labels import INVISIBLE_PATIENT, MASKED, VISIBILITY
from sceau.fhir import rules
from sceau.fhir.findings import Findings
from sceau.fhir.outcome import FhirError, Problem, bad_request, unprocessable
from sceau.fhir.parse import Json, judge, parse_json, parse_resource
from sceau_schemas.dossier import StoredCoding
from sceau_schemas.fhir.datatypes import CodeableConcept
from sceau_schemas.fhir.parameters import Parameters

DELETED: Final = "entered-in-error"
MOST_OPERATIONS: Final = 20
_PRODUCERS: Final = frozenset({"R", "V"})
_NORMAL: Final = "N"
_URL: Final = re.escape(rules.IS_ARCHIVED)
_LABEL: Final = re.compile(r"/securityLabel(?:/(0|[1-9][0-9]{0,2}|-))?")
_NAMED_EXTENSION: Final = re.compile(rf"/extension\[url:'{_URL}'\]/valueBoolean")
_NUMBERED_EXTENSION: Final = re.compile(r"/extension/(0|[1-9][0-9]{0,2})/valueBoolean")
_FHIRPATH_LABEL: Final = re.compile(r"DocumentReference\.securityLabel(?:\[(0|[1-9][0-9]{0,2})\])?")
_FHIRPATH_EXTENSION: Final = re.compile(
    rf"DocumentReference\.extension(?:\('{_URL}'\)|\.where\(url ?= ?'{_URL}'\))\.value(?:Boolean)?"
)

Kind = Literal["add", "replace", "remove"]


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One operation on the labels. `at`: an index; None: the whole list, or its end (`add`). `labels`: what is put."""

    kind: Kind
    at: int | None
    whole: bool
    labels: tuple[StoredCoding, ...]
    where: str


@dataclass(frozen=True, slots=True)
class Patch:
    """What is asked for. `archived`, `deleted`: None or False when nothing is said. `extension_at`: the index that a
    path named, to be compared with where isArchived stands.
    """

    labels: tuple[LabelChange, ...] = ()
    archived: bool | None = None
    deleted: bool = False
    extension_at: int | None = None


@dataclass(slots=True)
class _Asked:
    labels: list[LabelChange] = field(default_factory=list)
    archived: bool | None = None
    deleted: bool = False
    extension_at: int | None = None

    def patch(self) -> Patch:
        return Patch(tuple(self.labels), self.archived, self.deleted, self.extension_at)


def parse_json_patch(body: bytes) -> Patch:
    """What a JSON Patch asks for. FhirError 400, 405, 422."""
    operations = parse_json(body)
    if not isinstance(operations, list) or not operations or len(operations) > MOST_OPERATIONS:
        raise bad_request(f"expected a JSON Patch: an array of 1 to {MOST_OPERATIONS} operations", rule="RFC 6902")
    asked = _Asked()
    for number, operation in enumerate(operations):
        where = f"[{number}]"
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request("an operation has op and path", where, rule="RFC 6902")
        kind = _kind(operation.get("op"), ("add", "replace", "remove"), f"{where}.op")
        if kind != "remove" and "value" not in operation:
            raise bad_request("this operation has a value", f"{where}.value", rule="RFC 6902")
        _json_operation(asked, kind, operation["path"], operation.get("value"), where)
    return asked.patch()


def parse_fhirpath_patch(body: bytes) -> Patch:
    """What a FHIRPath Patch asks for. FhirError 400, 405, 422."""
    parsed = parse_resource(body, Parameters)
    operations = parsed.raw.get("parameter", [])
    if not operations or len(operations) > MOST_OPERATIONS:
        raise unprocessable(f"expected 1 to {MOST_OPERATIONS} operations", "Parameters.parameter")
    asked = _Asked()
    for number, operation in enumerate(operations):
        where = f"Parameters.parameter[{number}]"
        if operation.get("name") != "operation":
            raise unprocessable("each parameter is an operation", f"{where}.name", rule="FHIRPath Patch")
        parts = _parts(operation.get("part", ()), where)
        kind = _kind(parts.get("type"), ("add", "replace", "delete"), f"{where}.part")
        path = parts.get("path")
        if not isinstance(path, str):
            raise unprocessable("an operation has a path", f"{where}.part", rule="FHIRPath Patch")
        if kind != "remove" and "value" not in parts:
            raise unprocessable("this operation has a value", f"{where}.part", rule="FHIRPath Patch")
        _fhirpath_operation(asked, kind, path, parts, where)
    return asked.patch()


def _parts(parts: Sequence[Json], where: str) -> dict[str, Any]:
    """The parts of an operation, by name; of each, its one value."""
    found: dict[str, Any] = {}
    for part in parts:
        name = part.get("name")
        values = [value for element, value in part.items() if element.startswith("value")]
        if name not in {"type", "path", "name", "value"} or name in found or len(values) != 1:
            raise unprocessable(
                "expected type, path, name and value, once each", f"{where}.part", rule="FHIRPath Patch"
            )
        found[name] = values[0]
    return found


def _kind(given: object, known: Sequence[str], where: str) -> Kind:
    if given not in known:
        raise unprocessable(f"the operation is one of {', '.join(known)}", where, code="not-supported")
    return "remove" if given == "delete" else given  # type: ignore[return-value]  # of `known`


def _json_operation(asked: _Asked, kind: Kind, path: str, value: Any, where: str) -> None:
    label, numbered = _LABEL.fullmatch(path), _NUMBERED_EXTENSION.fullmatch(path)
    if label:
        index = None if label[1] in (None, "-") else int(label[1])
        _change_labels(asked, kind, index, value, whole=label[1] is None, where=where)
    elif path == "/status":
        _delete(asked, kind, value, where)
    elif _NAMED_EXTENSION.fullmatch(path):
        _archive(asked, kind, value, where)
    elif numbered:
        asked.extension_at = int(numbered[1])
        _archive(asked, kind, value, where)
    elif path == "/extension/-" and kind == "add" and isinstance(value, dict) and value.get("url") == rules.IS_ARCHIVED:
        _archive(asked, kind, value.get("valueBoolean"), where)
    else:
        raise _not_patchable(where)


def _fhirpath_operation(asked: _Asked, kind: Kind, path: str, parts: dict[str, Any], where: str) -> None:
    value, label = parts.get("value"), _FHIRPATH_LABEL.fullmatch(path)
    if path == "DocumentReference" and kind == "add":
        if parts.get("name") != "securityLabel":
            raise _not_patchable(where)
        _change_labels(asked, kind, None, value, whole=False, where=where)
    elif label:
        index = None if label[1] is None else int(label[1])
        whole = label[1] is None
        listed = [value] if whole and isinstance(value, dict) else value
        _change_labels(asked, kind, index, listed, whole=whole, where=where)
    elif path == "DocumentReference.status":
        _delete(asked, kind, value, where)
    elif _FHIRPATH_EXTENSION.fullmatch(path):
        _archive(asked, kind, value, where)
    else:
        raise _not_patchable(where)


def _change_labels(asked: _Asked, kind: Kind, at: int | None, value: Any, *, whole: bool, where: str) -> None:
    given: list[Any] = []
    if kind != "remove":
        given = value if whole else [value]
        if not isinstance(given, list):
            raise unprocessable("expected an array of CodeableConcepts", where, code="value")
    elif at is None and not whole:
        raise unprocessable("there is nothing at the end of the labels", where, code="value")
    concepts = [judge(CodeableConcept, one, f"{where}.value") for one in given]
    findings = Findings()
    labels = rules.labels_in(concepts, f"{where}.value", findings)
    findings.stop()
    asked.labels.append(LabelChange(kind, at, whole, labels, where))


def _delete(asked: _Asked, kind: Kind, value: Any, where: str) -> None:
    if kind == "remove" or value != DELETED:
        raise unprocessable(
            f"the status of an entry can become {DELETED} by a patch, nothing else", where, code="value"
        )
    asked.deleted = True


def _archive(asked: _Asked, kind: Kind, value: Any, where: str) -> None:
    if kind == "remove":
        value = False
    if not isinstance(value, bool):
        raise unprocessable("isArchived is true or false", where, code="value")
    asked.archived = value


def _not_patchable(where: str) -> FhirError:
    text = "only securityLabel, status and the isArchived extension can be patched"
    return FhirError(405, Problem("not-supported", text, where, rule="PDSm st_maj"))


def labels_after(before: Sequence[StoredCoding], patch: Patch) -> tuple[StoredCoding, ...]:
    """The labels when the patch is applied. FhirError 422: an index that isn't there, another confidentiality."""
    if not patch.labels:
        return tuple(before)
    now = list(before)
    for change in patch.labels:
        _apply(now, change)
    each: dict[str, StoredCoding] = {}
    for label in now:
        each.setdefault(label.code, label)
    own = [label for label in before if label.code in _PRODUCERS]
    if any(code in _PRODUCERS and code not in {label.code for label in own} for code in each):
        raise unprocessable("a patch sets and lifts masks; the confidentiality is the producer's", code="value")
    kept = [*(label for label in own if label.code not in each), *each.values()]
    return tuple(label for label in kept if not (own and label.code == _NORMAL)) or (rules.NORMAL,)


def unseen_labels_after(before: Sequence[StoredCoding], patch: Patch) -> tuple[StoredCoding, ...]:
    """The same for a caller that may not read the entry, and so does not know its labels: nothing may tell it of them.

    It can mask, and lift what awaits an announcement by asking for N; what others set stays, and what the entry was
    sent with and others lifted does not come back. FhirError 422.
    """
    if not patch.labels:
        return tuple(before)
    asked = masks_asked(patch)
    kept = before if asked else [label for label in before if label.code != INVISIBLE_PATIENT]
    return with_masks(kept, [label for label in asked if label.code == MASKED])


def masks_asked(patch: Patch) -> tuple[StoredCoding, ...]:
    """The masks that a caller asks for who may not read the entry; none: it asks for N. For a patch of labels.

    FhirError 422: an index of which it can't know what is there, another confidentiality.
    """
    if len(patch.labels) > 1 or patch.labels[0].at not in (None, 0):
        raise unprocessable("a caller that may not read replaces the first label, or all of them", code="not-supported")
    return tuple(label for label in labels_after((rules.NORMAL,), patch) if label.code in VISIBILITY)


def with_masks(labels: Sequence[StoredCoding], more: Sequence[StoredCoding]) -> tuple[StoredCoding, ...]:
    """The labels, and behind them the masks among `more` that they lack. N says that there is none: beside one it goes.

    What has no label at all becomes N.
    """
    each = {label.code: label for label in labels}
    for label in more:
        if label.code in VISIBILITY:
            each.setdefault(label.code, label)
    if not VISIBILITY.isdisjoint(each):
        each.pop(_NORMAL, None)
    return tuple(each.values()) or (rules.NORMAL,)


def _apply(now: list[StoredCoding], change: LabelChange) -> None:
    if change.whole:
        now[:] = [] if change.kind == "remove" else change.labels
        return
    at = len(now) if change.at is None else change.at
    present = at < len(now)
    if at > len(now) or (change.kind == "remove" and not present):
        raise unprocessable("there is no such label", change.where, code="value")
    if change.kind == "remove":
        del now[at]
    elif change.kind == "replace" and present:
        now[at : at + 1] = change.labels
    else:
        now[at:at] = change.labels


def parser_of(media_type: str) -> Callable[[bytes], Patch] | None:
    """What reads a patch of a media type; None for one that is not taken."""
    return _PARSERS.get(media_type)


_PARSERS: Final[dict[str, Callable[[bytes], Patch]]] = {
    "application/json-patch+json": parse_json_patch,
    "application/fhir+json": parse_fhirpath_patch,
    "application/json": parse_fhirpath_patch,
}
