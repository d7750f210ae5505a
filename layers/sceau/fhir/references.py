"""Who a resource speaks of: references resolved inside the request, to patients, professionals and structures.

Nothing is ever fetched. A fragment (`#id`) names a contained resource, a url may name the Patient of the same bundle,
an identifier says itself who is meant; any other literal reference is the sender's own and stays unread.

Sources: wire.md "Identifiers" (systems and prefixes), FHIR R4 "Resource References".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from sceau.access.model import Identifier
from sceau.fhir.ins import INS_SYSTEMS, InvalidIns, check_ins
from sceau.fhir.outcome import bad_request, unprocessable
from sceau_schemas.dossier import StoredIdentifier
from sceau_schemas.fhir.datatypes import HumanName, Identifier as FhirIdentifier, Reference
from sceau_schemas.fhir.people import (
    Contained,
    Device,
    DomainResource,
    Organization,
    OtherContained,
    Patient,
    Practitioner,
    PractitionerRole,
    RelatedPerson,
)
from sceau_schemas.systems import IDNAT_PS, IDNAT_STRUCT

URI_SYSTEM: Final = "urn:ietf:rfc:3986"
_RPPS: Final = "https://rpps.esante.gouv.fr"
_FINESS: Final = "https://finess.esante.gouv.fr"
_SIRENE: Final = "https://sirene.fr"

# What stands beside the national form: system, form of the value, prefix that makes it national.
_NATIONAL: Final = (
    (IDNAT_PS, IDNAT_PS, re.compile(r"\S+"), ""),
    (_RPPS, IDNAT_PS, re.compile(r"[0-9]{11}"), "8"),
    (IDNAT_STRUCT, IDNAT_STRUCT, re.compile(r"\S+"), ""),
    (_FINESS, IDNAT_STRUCT, re.compile(r"[0-9AB]{9}"), "1"),
    (_SIRENE, IDNAT_STRUCT, re.compile(r"[0-9]{9}"), "2"),
    (_SIRENE, IDNAT_STRUCT, re.compile(r"[0-9]{14}"), "3"),
)

_QUERY: Final = re.compile(r"(?:\S+/)?(?P<type>[A-Z][A-Za-z]+)\?(?P<query>\S+)")
_LITERAL: Final = re.compile(
    r"(?:\S+/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)


Target = str | StoredIdentifier
"""A document entry that somebody points at: a FHIR id, or a business identifier."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What references are resolved in: a resource's contained ones; the INS of the bundle's Patient, by its names."""

    contained: Mapping[str, Contained]
    patients: Mapping[str, frozenset[Identifier]] = field(default_factory=dict)

    def local(self, reference: Reference | None, at: str) -> Contained | None:
        """Return the contained resource that a fragment names, None for other references. FhirError 400: dangling."""
        if reference is None or reference.reference is None or not reference.reference.startswith("#"):
            return None
        found = self.contained.get(reference.reference[1:])
        if found is None:
            raise bad_request("the reference names no contained resource", f"{at}.reference", rule="ref-1")
        return found


def scope_of(resource: DomainResource, at: str, patients: Mapping[str, frozenset[Identifier]] | None = None) -> Scope:
    """Return the scope of a resource. FhirError 400 when a contained resource has no id, or one that another has."""
    contained: dict[str, Contained] = {}
    for position, part in enumerate(resource.contained or ()):
        where = f"{at}.contained[{position}].id"
        if part.id is None:
            raise bad_request("a contained resource needs an id", where, rule="dom-3")
        name = part.id.removeprefix("#")
        if name in contained:
            raise bad_request("two contained resources have the same id", where)
        contained[name] = part
    return Scope(contained, patients or {})


def patient_named_by(reference: Reference, scope: Scope, at: str, accepted_ins_systems: Collection[str]) -> Identifier:
    """Return the INS of the patient that a reference names: by identifier, by search, contained, or in the bundle.

    FhirError 422: no INS can be had from it, it names two, or it can't be an INS here; 400: a dangling fragment.
    """
    named: set[Identifier] = set()
    if reference.identifier is not None:
        named.update(_ins_of([reference.identifier]))
    literal = reference.reference
    if literal is not None:
        found = scope.local(reference, at)
        if isinstance(found, Patient):
            named.update(_ins_of(found.identifier or ()))
        elif literal in scope.patients:
            named.update(scope.patients[literal])
        elif (query := _QUERY.fullmatch(literal)) and query["type"] == "Patient":
            named.add(identifier_asked(query["query"], f"{at}.reference"))
        elif not named:
            raise unprocessable(
                "the patient is named by INS: an identifier, Patient?identifier=system|value, or a Patient in the "
                "request that has it",
                f"{at}.reference",
            )
    if not named:
        raise unprocessable("the patient's INS is missing", at)
    if len(named) > 1:
        raise unprocessable("the reference names two patients", at)
    return checked_ins(named.pop(), at, accepted_ins_systems)


def checked_ins(ins: Identifier, at: str, accepted_ins_systems: Collection[str]) -> Identifier:
    """Return the INS. FhirError 422 when it can't be one here."""
    try:
        check_ins(ins.system, ins.value, accepted_ins_systems)
    except InvalidIns as error:
        raise unprocessable(str(error), at, rule="INS", code="value") from None
    return ins


def ins_of(patient: Patient) -> frozenset[Identifier]:
    """Return the INS identifiers that a Patient has; more than one only when it is wrong or has changed."""
    return _ins_of(patient.identifier or ())


def is_patient(reference: Reference, scope: Scope, patient: Identifier, at: str) -> bool:
    """Say whether a reference names this patient and nobody else, by INS. FhirError 400: a dangling fragment."""
    named: set[Identifier] = set()
    if reference.identifier is not None:
        named |= {Identifier(reference.identifier.system or "", reference.identifier.value or "")}
    if reference.reference is not None:
        found = scope.local(reference, at)
        if found is not None and not isinstance(found, Patient):
            return False
        named |= ins_of(found) if found is not None else scope.patients.get(reference.reference, frozenset())
    return named == {patient}


def _ins_of(identifiers: Iterable[FhirIdentifier]) -> frozenset[Identifier]:
    return frozenset(
        Identifier(i.system, i.value) for i in identifiers if i.system in INS_SYSTEMS and i.system and i.value
    )


def identifier_asked(query: str, at: str) -> Identifier:
    """Return the identifier of a query `identifier=system|value`, percent-encoded or not. FhirError 422."""
    name, _, value = query.partition("=")
    try:
        parts = unquote(value, errors="strict").split("|")
    except UnicodeDecodeError:
        parts = []
    match parts:
        case [system, text] if name == "identifier" and system and text and "&" not in query:
            return Identifier(system, text)
    raise unprocessable("expected identifier=system|value, and nothing else", at)


def document_target(reference: Reference, at: str) -> Target:
    """Return what a reference to a document entry points at. FhirError 422 when that can't be looked up."""
    if reference.reference is not None:
        return target_in(reference.reference, f"{at}.reference")
    identifier = reference.identifier
    if identifier is None or identifier.system is None or identifier.value is None:
        raise unprocessable("expected a reference to a DocumentReference, or an identifier with system and value", at)
    return StoredIdentifier(system=identifier.system, value=identifier.value)


def target_in(url: str, at: str) -> Target:
    """Return the entry that a url means: `DocumentReference/<id>`, `DocumentReference?identifier=…`, or a `urn:`.

    FhirError 422.
    """
    literal = _LITERAL.fullmatch(url)
    if literal and literal["type"] == "DocumentReference":
        return literal["id"]
    query = _QUERY.fullmatch(url)
    if query and query["type"] == "DocumentReference":
        found = identifier_asked(query["query"], at)
        return StoredIdentifier(system=found.system, value=found.value)
    if url.startswith("urn:"):  # the entryUUID, or a uniqueId: both are identifiers with this system
        return StoredIdentifier(system=URI_SYSTEM, value=url)
    raise unprocessable("expected a reference to a DocumentReference", at)


@dataclass(slots=True)
class People:
    """What is said of those who made something. `given` and `family` as written; `literals`: references that stay."""

    structures: dict[StoredIdentifier, None] = field(default_factory=dict)
    professionals: dict[StoredIdentifier, None] = field(default_factory=dict)
    identifiers: dict[StoredIdentifier, None] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    family: list[str] = field(default_factory=list)
    literals: list[str] = field(default_factory=list)


def people_behind(references: Iterable[Reference], scope: Scope, at: str) -> People:
    """Gather who is behind references: the resources meant, their organisation, owner or practitioner.

    An INS is never gathered. FhirError 400: a dangling fragment.
    """
    people = People()
    for position, reference in enumerate(references):
        _gather(reference, scope, f"{at}[{position}]", people)
    return people


def people_of(reference: Reference | None, scope: Scope, at: str) -> People:
    """Gather who is behind one reference; nobody behind none. FhirError 400: a dangling fragment."""
    people = People()
    if reference is not None:
        _gather(reference, scope, at, people)
    return people


def _gather(reference: Reference, scope: Scope, at: str, people: People) -> None:
    found = scope.local(reference, at)
    if found is None and reference.reference is not None:
        people.literals.append(reference.reference)
    _gather_one(reference, found, people)
    where = f"{at}.resolve()"
    match found:
        case PractitionerRole():
            _gather_linked(found.practitioner, Practitioner, scope, f"{where}.practitioner", people)
            _gather_linked(found.organization, Organization, scope, f"{where}.organization", people)
        case Device():
            _gather_linked(found.owner, Organization, scope, f"{where}.owner", people)


def _gather_linked(
    reference: Reference | None, kind: type[Practitioner | Organization], scope: Scope, at: str, people: People
) -> None:
    """One step and no further: practitioners and organisations link to nobody, so contained loops lead nowhere."""
    if reference is not None:
        found = scope.local(reference, at)
        _gather_one(reference, found if isinstance(found, kind) else None, people)


def _gather_one(reference: Reference, found: Contained | None, people: People) -> None:
    if reference.identifier is not None:
        _gather_identifiers([reference.identifier], people)
    if found is None or isinstance(found, OtherContained):  # of another type nothing was judged
        return
    # PractitionerRole.identifier under the RPPS system numbers a post, not a person: only the national form is read.
    _gather_identifiers(found.identifier or (), people, persons=not isinstance(found, PractitionerRole))
    if isinstance(found, Practitioner | Patient | RelatedPerson):
        _gather_names(found.name or (), people)


def _gather_names(names: Iterable[HumanName], people: People) -> None:
    for name in names:
        people.given += [given for given in name.given or () if given]
        if name.family:
            people.family.append(name.family)


def _gather_identifiers(identifiers: Iterable[FhirIdentifier], people: People, *, persons: bool = True) -> None:
    for identifier in identifiers:
        if not identifier.system or not identifier.value or identifier.system in INS_SYSTEMS:
            continue
        people.identifiers[StoredIdentifier(system=identifier.system, value=identifier.value)] = None
        for national in national_forms(identifier.system, identifier.value):
            if national.system == IDNAT_STRUCT:
                people.structures[national] = None
            elif persons or identifier.system == IDNAT_PS:
                people.professionals[national] = None


def national_forms(system: str, value: str) -> Iterator[StoredIdentifier]:
    """Give the IdNat_PS or IdNat_Struct that an identifier is or implies (RPPS, FINESS, SIREN, SIRET), if any."""
    for own, national, form, prefix in _NATIONAL:
        if system == own and form.fullmatch(value):
            yield StoredIdentifier(system=national, value=prefix + value)
