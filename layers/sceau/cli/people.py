"""The invented software of the local stage: who may call it, with which identifiers and scopes.

Persons (patients, physicians) are the development issuer's (`devpeople`); keys are made when the stage is created.
"""

from __future__ import annotations

from dataclasses import dataclass

from sceau.cli.samples.people import STRUCTURES
from sceau_schemas.configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, ClientKind, Grant
from sceau_schemas.dossier import StoredIdentifier
from sceau_schemas.systems import IDNAT_STRUCT

"""IdNat_Struct: `1` and a FINESS number, `3` and a SIRET number."""


@dataclass(frozen=True, slots=True)
class DevelopmentClient:
    """A client registered on the local stage."""

    client_id: str
    name: str
    kind: ClientKind
    scopes: tuple[str, ...]
    structures: tuple[StoredIdentifier, ...] = ()
    azp: tuple[str, ...] = ()

    @property
    def grant(self) -> Grant:
        """Its one grant."""
        return TOKEN_EXCHANGE if self.azp else CLIENT_CREDENTIALS


def _structure(name: str) -> StoredIdentifier:
    return StoredIdentifier(system=IDNAT_STRUCT, value=STRUCTURES[name].identifier)


LABORATORY = _structure("laboratory")
INSURER = _structure("insurer")
HOSPITAL = _structure("hospital")
OTHER_HOSPITAL = _structure("other_hospital")
PRACTICE = _structure("practice")
SAMU = _structure("samu")

_PHYSICIANS_SCOPES = (
    "user/Communication.s",
    "user/Consent.cus",
    "user/DocumentReference.crus",
    "user/List.rs",
    "user/Patient.rs",
)

CLIENTS = (
    DevelopmentClient(
        "insurer",
        "Caisse d'essai",
        ClientKind.INSURER,
        ("system/Consent.cu", "system/DocumentReference.cs"),
        (INSURER,),
    ),
    DevelopmentClient(
        "laboratory",
        "SIL du laboratoire d'essai",
        ClientKind.SOFTWARE,
        ("system/DocumentReference.crus",),
        (LABORATORY,),
    ),
    DevelopmentClient(
        "hospital-security",
        "Poste du RSSI de l'hôpital d'essai",
        ClientKind.SOFTWARE,
        ("system/AuditEvent.rs",),
        (HOSPITAL,),
    ),
    DevelopmentClient(
        "hospital",
        "DPI de l'hôpital d'essai",
        ClientKind.PROFESSIONAL_SOFTWARE,
        _PHYSICIANS_SCOPES,
        (HOSPITAL,),
        ("hospital-rp",),
    ),
    DevelopmentClient(
        "other-hospital",
        "DPI de l'autre hôpital d'essai",
        ClientKind.PROFESSIONAL_SOFTWARE,
        _PHYSICIANS_SCOPES,
        (OTHER_HOSPITAL,),
        ("other-hospital-rp",),
    ),
    DevelopmentClient(
        "practice",
        "LGC du cabinet d'essai",
        ClientKind.PROFESSIONAL_SOFTWARE,
        _PHYSICIANS_SCOPES,
        (PRACTICE,),
        ("practice-rp",),
    ),
    DevelopmentClient(
        "samu",
        "LRM du centre 15 d'essai",
        ClientKind.PROFESSIONAL_SOFTWARE,
        _PHYSICIANS_SCOPES,
        (SAMU,),
        ("samu-rp",),
    ),
    DevelopmentClient(
        "other-hospital-review",
        "Revue des accès en urgence de l'autre hôpital d'essai",
        ClientKind.SOFTWARE,
        ("system/Communication.us",),
        (OTHER_HOSPITAL,),
    ),
    DevelopmentClient("operations", "Exploitation d'essai", ClientKind.OPERATIONS, ("ops/ReviewQueue.s",)),
    DevelopmentClient(
        "patient-app",
        "Application d'essai",
        ClientKind.PATIENT_APP,
        (
            "patient/AuditEvent.rs",
            "patient/Communication.s",
            "patient/Consent.crus",
            "patient/DocumentReference.crus",
            "patient/List.rs",
            "patient/Patient.rs",
        ),
        (),
        ("patient-app-rp",),
    ),
)


@dataclass(frozen=True, slots=True)
class DevelopmentActor:
    """Somebody who calls: a client, and the person behind it (of the development issuer), if there is one."""

    name: str
    client_id: str
    person: str | None = None

    @property
    def azp(self) -> str:
        """The relying party for which the person's identity is issued."""
        return f"{self.client_id}-rp"


ACTORS = {
    actor.name: actor
    for actor in (
        DevelopmentActor("insurer", "insurer"),
        DevelopmentActor("laboratory", "laboratory"),
        DevelopmentActor("patient", "patient-app", "dominique"),
        DevelopmentActor("other-patient", "patient-app", "basile"),
        DevelopmentActor("minor", "patient-app", "dune"),
        DevelopmentActor("representative", "patient-app", "coriandre_for_dune"),
        DevelopmentActor("nurse", "hospital", "nurse"),
        DevelopmentActor("occupational-doctor", "hospital", "occupational_doctor"),
        DevelopmentActor("hospital-physician", "hospital", "hospital_physician"),
        DevelopmentActor("other-physician", "other-hospital", "psychiatrist"),
        DevelopmentActor("general-practitioner", "practice", "general_practitioner"),
        DevelopmentActor("emergency-physician", "other-hospital", "emergency_physician"),
        DevelopmentActor("regulator", "samu", "regulator"),
        DevelopmentActor("reviewer", "other-hospital-review"),
        DevelopmentActor("operations", "operations"),
        DevelopmentActor("security-officer", "hospital-security"),
    )
}
"""Those as whom `sceau token` fetches a token, and the journey's cast."""
