"""The invented software of the local stage: who may call it, with which identifiers and scopes.

Persons (patients, physicians) are the development issuer's; keys are made when the stage is created.
"""

from __future__ import annotations

from dataclasses import dataclass

from sceau.cli.samples.people import STRUCTURES
from sceau_schemas.configuration import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, ClientKind, Grant
from sceau_schemas.dossier import StoredIdentifier

STRUCTURE_SYSTEM = "urn:oid:1.2.250.1.71.4.2.2"
"""IdNat_Struct."""


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
    return StoredIdentifier(system=STRUCTURE_SYSTEM, value=STRUCTURES[name].identifier)


LABORATORY = _structure("laboratory")
HOSPITAL = _structure("hospital")
PRACTICE = _structure("practice")
INSURER = _structure("insurer")

CLIENTS = (
    DevelopmentClient(
        "insurer", "Caisse d'essai", ClientKind.INSURER, ("system/Consent.c", "system/DocumentReference.c"), (INSURER,)
    ),
    DevelopmentClient(
        "laboratory",
        "SIL du laboratoire d'essai",
        ClientKind.SOFTWARE,
        ("system/DocumentReference.cs",),
        (LABORATORY,),
    ),
    DevelopmentClient(
        "hospital",
        "DPI de l'hôpital d'essai",
        ClientKind.PROFESSIONAL_SOFTWARE,
        ("user/DocumentReference.crs", "user/Patient.rs"),
        (HOSPITAL,),
        ("hospital-rp",),
    ),
    DevelopmentClient(
        "practice",
        "LGC du cabinet d'essai",
        ClientKind.PROFESSIONAL_SOFTWARE,
        ("user/DocumentReference.crs", "user/Patient.rs"),
        (PRACTICE,),
        ("practice-rp",),
    ),
    DevelopmentClient(
        "patient-app",
        "Application d'essai",
        ClientKind.PATIENT_APP,
        ("patient/DocumentReference.rs", "patient/Consent.crus", "patient/AuditEvent.rs", "patient/Patient.rs"),
        (),
        ("patient-app",),
    ),
)
