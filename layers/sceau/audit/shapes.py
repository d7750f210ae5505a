"""What the event of each act looks like: the tables of IHE BALP 1.1.4, IHE MHD 4.2.3 (audit) and IUA (ITI-71).

Sources: the profiles' StructureDefinitions; `tests/corpus/test_balp.py` proves each row with the HL7 validator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sceau.audit.facts import AuditAct, Coding

BALP: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"
MHD: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/"
OAUTH_PROFILE: Final = BALP + "IHE.BasicAudit.OAUTHaccessTokenUse.Comprehensive"

_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_ITI = "urn:ihe:event-type-code"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_LIFECYCLE = "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle"
_RESOURCE_TYPE = "http://hl7.org/fhir/resource-types"

REST = Coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation")
IMPORT = Coding(_DCM, "110107", "Import")
USER_AUTHENTICATION = Coding(_DCM, "110114", "User Authentication")
LOGIN = Coding(_DCM, "110122", "Login")
LOGOUT = Coding(_DCM, "110123", "Logout")

SOURCE_ROLE = Coding(_DCM, "110153", "Source Role ID")
DESTINATION_ROLE = Coding(_DCM, "110152", "Destination Role ID")
APPLICATION = Coding(_DCM, "110150", "Application")
AUTHORIZATION_SERVER = Coding(
    "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes", "AuthzOauthService", "OAuth Authorization Server"
)
AUTHOR = Coding(_PARTICIPATION, "AUT", "author (originator)")
RECIPIENT = Coding(_PARTICIPATION, "IRCP", "information recipient")
PROVIDER = Coding("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", "healthcare provider")
GUARDIAN = Coding("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "GUARD", "guardian")
"""A minor's legal representative, whom an event names by the own record-id: a pseudonym, and no name."""
APPLICATION_SERVER = Coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")

ENCRYPT = Coding(
    "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "encrypt", "Encrypt Record Lifecycle Event"
)
"""ISO/TS 21089's name for what a rewrap does; FHIR R4 takes its codes as types of AuditEvents."""
ARCHIVE = Coding(ENCRYPT.system, "archive", "Archive Record Lifecycle Event")
DESTROY = Coding(ENCRYPT.system, "destroy", "Destroy/Delete Record Lifecycle Event")
RESTORE = Coding(ENCRYPT.system, "restore", "Restore Record Lifecycle Event")

PERSON = Coding(_ENTITY_TYPE, "1", "Person")
SYSTEM_OBJECT = Coding(_ENTITY_TYPE, "2", "System Object")
REQUEST_ID = Coding("https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "XrequestId")

PATIENT_ROLE = Coding(_OBJECT_ROLE, "1", "Patient")
REPORT = Coding(_OBJECT_ROLE, "3", "Report")
DOMAIN_RESOURCE = Coding(_OBJECT_ROLE, "4", "Domain Resource")
SECURITY_RESOURCE = Coding(_OBJECT_ROLE, "13", "Security Resource")
JOB = Coding(_OBJECT_ROLE, "20", "Job")
QUERY = Coding(_OBJECT_ROLE, "24", "Query")

ORIGINATION = Coding(_LIFECYCLE, "1", "Origination / Creation")
AMENDMENT = Coding(_LIFECYCLE, "3", "Amendment")
ACCESS = Coding(_LIFECYCLE, "6", "Access / Use")


def interaction(code: str) -> Coding:
    """A FHIR interaction."""
    return Coding(_INTERACTION, code, code)


def transaction(number: str, name: str) -> Coding:
    """An IHE ITI transaction."""
    return Coding(_ITI, f"ITI-{number}", name)


def resource_type(name: str) -> Coding:
    """The type of an entity that must not count among those of type 2: profiles allow one of these."""
    return Coding(_RESOURCE_TYPE, name, name)


@dataclass(frozen=True, slots=True)
class Shape:
    """One row: the fixed parts of an act's event.

    `client`, `server`, `user`: types of their agents; no `client` where the software is only there as OAuth client.
    `role` of the entity of type 2; QUERY: it holds the request and no reference. None: as the resource's type has it.
    `lifecycle` of that entity. `basic`: the BALP profile, less its prefix and `Patient`. `profile`: the whole URL of
    one that knows more. `closed`: profiles that allow no further agent nor entity.
    `refused_subtypes`: what a refusal adds to `subtypes`.
    """

    type: Coding
    subtypes: tuple[Coding, ...]
    action: str
    server: Coding
    user: Coding
    client: Coding | None = None
    role: Coding | None = None
    lifecycle: Coding | None = None
    basic: str | None = None
    profile: str | None = None
    closed: bool = False
    refused_subtypes: tuple[Coding, ...] = ()


def _query(*subtypes: Coding, profile: str | None = None) -> Shape:
    return Shape(
        type=REST,
        subtypes=(interaction("search-type"), *subtypes),
        action="E",
        client=SOURCE_ROLE,
        server=DESTINATION_ROLE,
        user=RECIPIENT,
        role=QUERY,
        basic="Query",
        profile=profile,
    )


def _read(*subtypes: Coding, role: Coding | None = None, profile: str | None = None) -> Shape:
    return Shape(  # the server sends: BALP gives it the source role, other than in queries
        type=REST,
        subtypes=(interaction("read"), *subtypes),
        action="R",
        client=DESTINATION_ROLE,
        server=SOURCE_ROLE,
        user=RECIPIENT,
        role=role,
        lifecycle=ACCESS,
        basic="Read",
        profile=profile,
    )


def _write(code: str, *subtypes: Coding, profile: str | None = None) -> Shape:
    return Shape(
        type=REST,
        subtypes=(interaction(code), *subtypes),
        action="C" if code == "create" else "U",
        client=SOURCE_ROLE,
        server=DESTINATION_ROLE,
        user=AUTHOR,
        lifecycle=ORIGINATION if code == "create" else AMENDMENT,
        basic="Create" if code == "create" else "Update",
        profile=profile,
    )


def _token(*subtypes: Coding, refused_subtypes: tuple[Coding, ...] = (), profile: str | None = None) -> Shape:
    return Shape(
        type=USER_AUTHENTICATION,
        subtypes=subtypes,
        action="E",
        server=AUTHORIZATION_SERVER,
        user=RECIPIENT,
        role=QUERY,
        profile=profile,
        closed=True,
        refused_subtypes=refused_subtypes,
    )


_FIND_REFERENCES = _query(
    transaction("67", "Find Document References"), profile=MHD + "IHE.MHD.FindDocumentReferences.Audit.Responder"
)

SHAPES: Final[dict[AuditAct, Shape]] = {
    AuditAct.ISSUE_TOKEN: _token(
        transaction("71", "Get Access Token"), refused_subtypes=(LOGIN,), profile=BALP + "IHE.IUA.71"
    ),
    AuditAct.REVOKE_TOKEN: _token(LOGOUT),
    # ITI-65 is an import and not a REST create: the two profiles exclude each other.
    AuditAct.PROVIDE_BUNDLE: Shape(
        type=IMPORT,
        subtypes=(transaction("65", "Provide Document Bundle"),),
        action="C",
        client=SOURCE_ROLE,
        server=DESTINATION_ROLE,
        user=AUTHOR,
        role=JOB,
        lifecycle=ORIGINATION,
        profile=MHD + "IHE.MHD.ProvideBundle.Audit.Recipient",
    ),
    AuditAct.SIMPLIFIED_PUBLISH: _write(
        "create",
        transaction("105", "Simplified Publish"),
        profile=MHD + "IHE.MHD.SimplifiedPublish.Audit.Recipient",
    ),
    AuditAct.FIND_DOCUMENT_LISTS: _query(
        transaction("66", "Find Document Lists"), profile=MHD + "IHE.MHD.FindDocumentLists.Audit.Responder"
    ),
    AuditAct.FIND_DOCUMENT_REFERENCES: _FIND_REFERENCES,
    AuditAct.FIND_IDENTIFIER: _FIND_REFERENCES,
    AuditAct.RETRIEVE_DOCUMENT: _read(
        transaction("68", "Retrieve Document"), role=REPORT, profile=MHD + "IHE.MHD.RetrieveDocument.Audit.Responder"
    ),
    AuditAct.QUERY_PATIENT: _query(),
    AuditAct.READ: _read(),
    AuditAct.QUERY_TRACES: _query(transaction("81", "Retrieve ATNA Audit Event")),
    AuditAct.CREATE_CONSENT: _write("create"),
    AuditAct.UPDATE_CONSENT: _write("update"),
    AuditAct.PATCH: _write("patch"),
    AuditAct.READ_HISTORY: _read(interaction("history-instance")),
    AuditAct.QUERY_CONSENTS: _query(),
    AuditAct.QUERY_NOTICES: _query(),
    AuditAct.QUERY_REVIEWS: _query(),
    AuditAct.COUNT_REVIEWS: _query(),
    # Nothing rests of it but this event: it is no update, which a version of the record would have to carry.
    AuditAct.REVIEW: Shape(
        type=REST,
        subtypes=(interaction("operation"),),
        action="E",
        client=SOURCE_ROLE,
        server=DESTINATION_ROLE,
        user=AUTHOR,
    ),
}
