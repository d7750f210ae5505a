"""The FHIR R4 resources that cross the wire, as strict models.

A model types what Sceau reads. Other elements that R4 knows for that place are accepted with a check of their JSON
shape and kept; an element that R4 doesn't know there is an error. Models are for judging and reading: what is stored
and given back is the JSON that came, not a dump of the model.

A name below loads its module when it is asked for: building models takes time, and a function that starts cold should
pay for its own only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sceau_schemas.fhir.bundle import Bundle
    from sceau_schemas.fhir.consent import Consent
    from sceau_schemas.fhir.documents import Binary, DocumentReference, FhirDocument, List
    from sceau_schemas.fhir.parameters import Parameters
    from sceau_schemas.fhir.people import Patient

__all__ = [
    "Binary",
    "Bundle",
    "Consent",
    "DocumentReference",
    "FhirDocument",
    "List",
    "Parameters",
    "Patient",
]

_MODULES = {
    "Binary": "documents",
    "Bundle": "bundle",
    "Consent": "consent",
    "DocumentReference": "documents",
    "FhirDocument": "documents",
    "List": "documents",
    "Parameters": "parameters",
    "Patient": "people",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
