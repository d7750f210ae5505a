"""A folder as a client sends it in ITI-65: a new one, or one that is added to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sceau.cli.body_parts import Json, concept, entry, instant, subject, target, urn
from sceau.cli.samples import Patient
from sceau.fhir import codes
from sceau.fhir.references import URI_SYSTEM
from sceau.fhir.sets import DESIGNATION_TYPE, LIST_TYPES
from sceau_schemas.dossier import StoredIdentifier

_PROFILE: Final = "https://interop.esante.gouv.fr/ig/fhir/pdsm/StructureDefinition/pdsm-folder-comprehensive"


@dataclass(frozen=True, slots=True)
class SampleFolder:
    """A folder. `unique_id`: `urn:oid:…`. `code`: its designationType, a class of document (TRE_A03).

    `documents`: uniqueIds of documents of the same bundle. `entries`: FHIR ids or business identifiers of entries that
    the record has. `adds_to`: the FHIR id of the folder to add to; its entries are to be named again. `listed`: the
    submission set names it.
    """

    title: str
    unique_id: str
    documents: tuple[str, ...] = ()
    entries: tuple[str | StoredIdentifier, ...] = ()
    code: str = "11"
    adds_to: str | None = None
    listed: bool = True

    @property
    def url(self) -> str:
        """Its fullUrl."""
        return urn("folder", self.unique_id)


def folder_entry(folder: SampleFolder, *, patient: Patient, when: datetime) -> Json:
    """Return the bundle entry that makes a folder, or adds to one."""
    resource: Json = {
        "resourceType": "List",
        "meta": {"profile": [_PROFILE]},
        "extension": [{"url": DESIGNATION_TYPE, "valueCodeableConcept": concept(codes.TRE_A03, folder.code)}],
        "identifier": [{"use": "usual", "system": URI_SYSTEM, "value": folder.unique_id}],
        "status": "current",
        "mode": "working",
        "title": folder.title,
        "code": concept(LIST_TYPES, "folder"),
        "subject": subject(patient),
        "date": instant(when),
        "entry": [
            *({"item": {"reference": urn("document", unique_id)}} for unique_id in folder.documents),
            *({"item": target(one)} for one in folder.entries),
        ],
    }
    made = entry(folder.url, resource)
    if folder.adds_to is not None:
        made["request"] = {"method": "PUT", "url": f"List/{folder.adds_to}"}
        resource["id"] = folder.adds_to
    return made
