"""What the opening of a record says when it is PUT, beside its status: why it is closed, or that it is to be deleted.

The guide's extension dmp-fermeture has no published definition; its parts are used as its TD0.2 shows them.
"""

from __future__ import annotations

from typing import Final

from sceau.fhir.findings import Findings
from sceau.fhir.parse import Json
from sceau_schemas.fhir.consent import Consent

CLOSING: Final = "https://interop.esante.gouv.fr/ig/fhir/dmp/StructureDefinition/dmp-fermeture"
CLOSING_REASON: Final = "raisonFermeture"
CLOSING_MOTIVE: Final = "motifFermeture"
DMP_MOTIVES: Final = "https://interop.esante.gouv.fr/ig/fhir/dmp/CodeSystem/dmp-motif-fermeture"
BY_HOLDER: Final = "patient-demande"
MOTIVES: Final = "urn:sceau:fhir:closing-motive"
DEATH: Final = "deces"
DELETION: Final = "urn:sceau:fhir:deletion-request"
_MOST_TEXT: Final = 500


def closing_reason(consent: Consent, findings: Findings) -> str | None:
    """The text in the guide's extension dmp-fermeture (raisonFermeture)."""
    at = f"Consent.extension('{CLOSING}')"
    parts = [part for one in _closings(consent) for part in one if part.get("url") == CLOSING_REASON]
    if not parts:
        return None
    text = parts[0].get("valueString")
    if len(parts) > 1 or not isinstance(text, str) or not 0 < len(text) <= _MOST_TEXT:
        findings.error(f"raisonFermeture is one text of {_MOST_TEXT} characters at most", at)
        return None
    if consent.status == "active":
        findings.error("an open record has no reason of a closing", at)
    return text


def is_death(consent: Consent, findings: Findings) -> bool:
    """Whether dmp-fermeture says motifFermeture `deces`: its other code is that the holder asked for it."""
    parts = [part for one in _closings(consent) for part in one if part.get("url") == CLOSING_MOTIVE]
    if not parts:
        return False
    concept = parts[0].get("valueCodeableConcept")
    codings = concept.get("coding") if isinstance(concept, dict) else None
    listed = codings if isinstance(codings, list) else []
    given = [(one.get("system"), one.get("code")) for one in listed if isinstance(one, dict)]
    if len(parts) > 1 or given not in ([(MOTIVES, DEATH)], [(DMP_MOTIVES, BY_HOLDER)]):
        text = f"motifFermeture is {BY_HOLDER} of {DMP_MOTIVES}, or {DEATH} of {MOTIVES}"
        findings.error(text, f"Consent.extension('{CLOSING}')", code="not-supported")
    return given == [(MOTIVES, DEATH)]


def is_deletion(consent: Consent, findings: Findings) -> bool:
    """Whether the holder wants the archive deleted."""
    found = [one for one in consent.extension or () if one.get("url") == DELETION]
    if not found:
        return False
    at = f"Consent.extension('{DELETION}')"
    if len(found) > 1 or found[0].get("valueBoolean") is not True:
        findings.error("valueBoolean true, once; to end a request, open the record again", at, code="value")
    if consent.status == "active":
        findings.error("an open record is closed first", at, code="business-rule")
    return True


def _closings(consent: Consent) -> list[list[Json]]:
    """The parts of each extension dmp-fermeture, as far as they are any."""
    found = [one.get("extension") for one in consent.extension or () if one.get("url") == CLOSING]
    return [[part for part in parts if isinstance(part, dict)] for parts in found if isinstance(parts, list)]
