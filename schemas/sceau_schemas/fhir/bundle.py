"""The transaction Bundle of ITI-65."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from sceau_schemas.fhir.base import Code, Element, Instant, Kind, Resource, String, Uri, shapes
from sceau_schemas.fhir.datatypes import Identifier, Meta
from sceau_schemas.fhir.documents import Binary, DocumentReference, FhirDocument, List
from sceau_schemas.fhir.parameters import Parameters
from sceau_schemas.fhir.people import Patient

EntryResource = Annotated[
    List | DocumentReference | Binary | FhirDocument | Parameters | Patient, Discriminator("resource_type")
]


class Request(Element):
    """What is asked for an entry."""

    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]
    url: Uri
    if_none_match: String | None = None
    if_modified_since: Instant | None = None
    if_match: String | None = None
    if_none_exist: String | None = None


class BundleEntry(Element):
    """A resource of the transaction and what is asked for it."""

    kept: ClassVar[Mapping[str, Kind]] = shapes(arrays="link")
    refused: ClassVar[Mapping[str, str]] = {
        **Element.refused,
        **dict.fromkeys(("search", "response"), "a transaction has none"),
    }

    full_url: Uri | None = None
    resource: EntryResource | None = None
    request: Request | None = None


class Bundle(Resource):
    """A Bundle as it is POSTed. `type` is judged by the rules of ITI-65, not here."""

    kept: ClassVar[Mapping[str, Kind]] = {**Resource.kept, **shapes(objects="signature", arrays="link")}
    refused: ClassVar[Mapping[str, str]] = {**Resource.refused, "total": "a transaction has none"}

    resource_type: Literal["Bundle"]
    id: String | None = None
    meta: Meta | None = None
    identifier: Identifier | None = None
    type: Code
    timestamp: Instant | None = None
    entry: Annotated[list[BundleEntry], Field(min_length=1)]
