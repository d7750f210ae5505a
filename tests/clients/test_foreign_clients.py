"""FHIR clients that nobody here wrote publish, search and read: fhir-kit-client, Medplum's client, fhirpy.

They know bearer headers only, so `dpop_proxy` stands in front of the service. Requests and what is made of the answers
are theirs. Each publishes into a record of its own: two documents as a submission set, then one alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from clients.conftest import FoundModule, Node
from clients.dpop_proxy import DpopProxy
from fixtures.live_world import WHEN, Json, World, alone, ins, lab_document, new_oid, submission
from sceau.cli import bodies
from sceau.cli.bodies import SampleDocument
from sceau.cli.samples import Patient

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clients")]

FHIR_KIT = "fhir_kit_client.mjs"
MEDPLUM = "medplum.mjs"
PAGE = 2


@dataclass(frozen=True, slots=True)
class Scene:
    """A record that the hospital may read, what the laboratory will publish into it, and a way to the service for each.

    `set_of` and `single`: the documents; `bundle` and `reference`: the bodies that publish them.
    """

    world: World
    patient: Patient
    set_of: tuple[SampleDocument, ...]
    single: SampleDocument
    laboratory: DpopProxy
    physician: DpopProxy

    @property
    def bundle(self) -> Json:
        return submission(self.patient, *self.set_of)

    @property
    def reference(self) -> Json:
        return alone(self.patient, self.single)

    @property
    def documents(self) -> dict[str, bytes]:
        """Unique id to bytes."""
        return {one.unique_id: one.data for one in (*self.set_of, self.single)}

    @property
    def query(self) -> dict[str, str]:
        """By patient, type and date, in pages of two: finds all three."""
        kind = self.single.kind
        return {
            "patient.identifier": ins(self.patient),
            "type": f"{kind.system}|{kind.code}",
            "date": f"ge{WHEN:%Y-%m-%d}",
            "_count": str(PAGE),
        }

    def published(self) -> list[str]:
        """The same by our own client, for those who only read; the FHIR ids."""
        ids = self.world.publish(self.patient, *self.set_of)
        answer = self.world.caller("laboratory").post("/fhir/DocumentReference", self.reference)
        assert answer.status == 201, answer.data
        return [*ids, answer.headers["Location"].rpartition("/")[2]]

    def surrounded(self) -> list[str]:
        """`published`, among documents that the query does not find: of another type, of another patient, and older."""
        self.world.publish(self.patient, lab_document(self.patient, "imaging"))
        another = self.world.opened("hospital")
        self.world.publish(another, lab_document(another))
        old, when = lab_document(self.patient), WHEN - timedelta(days=365)
        bundle = bodies.provide_bundle([old], patient=self.patient, when=when, set_id=new_oid())
        answer = self.world.caller("laboratory").post("/fhir", bundle)
        assert answer.status == 200, answer.data
        return self.published()


@pytest.fixture
def scene(world: World) -> Iterator[Scene]:
    patient = world.opened("hospital")
    documents = [lab_document(patient) for _ in range(3)]
    with (
        DpopProxy(world.fresh("laboratory")) as laboratory,
        DpopProxy(world.fresh("hospital-physician", patient)) as physician,
    ):
        yield Scene(world, patient, tuple(documents[:2]), documents[2], laboratory, physician)


def created(response: Json) -> list[str]:
    """The ids of the document entries that a transaction response says were made."""
    assert (response["resourceType"], response["type"]) == ("Bundle", "transaction-response")
    locations = [entry["response"]["location"] for entry in response["entry"]]
    assert all(entry["response"]["status"].startswith("201") for entry in response["entry"])
    return [one.split("/")[-1] for one in locations if "DocumentReference/" in one]


def unique_ids(references: Sequence[Json]) -> set[str]:
    """The producer's identifiers of document entries."""
    return {one["masterIdentifier"]["value"] for one in references}


def check_published(scene: Scene, response: Json, single: Json) -> None:
    """What the client says it made is what the record holds: all of it, and nothing else."""
    record = scene.world.record_id(scene.patient)
    held = [f"{record}.{row.id}" for row in scene.world.dossier(scene.patient).entries.rows()]
    assert held == [*created(response), single["id"]]
    assert len(held) == len(scene.documents)


def check_pages(scene: Scene, pages: Sequence[Json]) -> None:
    """Three documents came in pages of two, each once, and the total counts them all."""
    assert [len(page["entry"]) for page in pages] == [PAGE, 1]
    assert {page["total"] for page in pages} == {len(scene.documents)}
    found = [entry["resource"] for page in pages for entry in page["entry"]]
    assert unique_ids(found) == set(scene.documents)


def check_binary(scene: Scene, reference: Json, binary: Json) -> None:
    """A Binary resource holds the document that the entry describes."""
    assert binary["resourceType"] == "Binary"
    assert binary["contentType"] == reference["content"][0]["attachment"]["contentType"]
    assert base64.b64decode(binary["data"]) == scene.documents[reference["masterIdentifier"]["value"]]


# --- fhir-kit-client -------------------------------------------------------------------------------------------------


def test_fhir_kit_client_discovers_the_service(node: Node, scene: Scene) -> None:
    found = node.run(FHIR_KIT, "discover", base=scene.physician.base)
    assert found["fhirVersion"] == "4.0.1"
    assert "DocumentReference" in found["types"]
    assert found["token_endpoint"] == f"{scene.world.origin}/oauth/token"


def test_fhir_kit_client_publishes_a_transaction_and_a_single_document(node: Node, scene: Scene) -> None:
    made = node.run(FHIR_KIT, "publish", base=scene.laboratory.base, bundle=scene.bundle, reference=scene.reference)
    assert made["status"] == 201
    check_published(scene, made["set"], made["one"])


@pytest.mark.parametrize("by_post", [False, True], ids=["GET", "POST"])
def test_fhir_kit_client_searches_page_by_page(node: Node, scene: Scene, by_post: bool) -> None:
    scene.surrounded()
    found = node.run(FHIR_KIT, "find", base=scene.physician.base, searchParams=scene.query, postSearch=by_post)
    check_pages(scene, found["pages"])
    assert scene.physician.requests[0][0] == ("POST" if by_post else "GET")


def test_fhir_kit_client_reads_an_entry_and_its_document(node: Node, scene: Scene) -> None:
    for one in scene.published():
        read = node.run(FHIR_KIT, "read", base=scene.physician.base, id=one)
        assert read["reference"]["id"] == one
        check_binary(scene, read["reference"], read["binary"])


def test_fhir_kit_client_is_told_by_an_outcome_what_is_not_there(node: Node, scene: Scene) -> None:
    unknown = f"{scene.world.record_id(scene.patient)}.{'a' * 26}"
    refused = node.run(FHIR_KIT, "readUnknown", base=scene.physician.base, id=unknown)
    assert (refused["status"], refused["data"]["resourceType"]) == (404, "OperationOutcome")


# --- Medplum's client ------------------------------------------------------------------------------------------------


def test_medplum_publishes_a_transaction_and_a_single_document(node: Node, scene: Scene) -> None:
    made = node.run(MEDPLUM, "publish", base=scene.laboratory.base, bundle=scene.bundle, reference=scene.reference)
    check_published(scene, made["set"], made["one"])


def test_medplum_searches_page_by_page(node: Node, scene: Scene) -> None:
    scene.surrounded()
    found = node.run(MEDPLUM, "find", base=scene.physician.base, query=scene.query)
    check_pages(scene, found["pages"])


def test_medplum_reads_an_entry_and_its_document_raw_and_as_fhir(node: Node, scene: Scene) -> None:
    for one in scene.published():
        read = node.run(MEDPLUM, "read", base=scene.physician.base, id=one)
        assert read["reference"]["id"] == one
        assert read["type"] == "application/xml"
        assert base64.b64decode(read["data"]) == scene.documents[read["reference"]["masterIdentifier"]["value"]]
        check_binary(scene, read["reference"], read["binary"])


def test_medplums_own_paging_changes_our_links_and_is_told_so(node: Node, scene: Scene) -> None:
    """`searchResourcePages` adds `_count` to a link that has none. Links are the server's own (R4, search, paging).

    What matters is that nobody takes the first page for all: the second request is refused by an outcome.
    """
    ids = scene.surrounded()
    found = node.run(MEDPLUM, "findByItself", base=scene.physician.base, query=scene.query)
    assert len(found["ids"]) == PAGE < len(ids)
    assert found["outcome"]["resourceType"] == "OperationOutcome"
    assert [status for _, _, status in scene.physician.requests] == [200, 400]
    assert "_count=1000" in scene.physician.requests[1][1]


# --- fhirpy ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fhirpy(python_client: FoundModule, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    library = python_client("fhirpy")
    # `url_aliases` is its own setting for a server that is reached by another address than its links say.
    return lambda base: library.SyncFHIRClient(
        base, url_aliases=[f"{world.origin}/fhir"], requests_config={"timeout": 30}
    )


def test_fhirpy_publishes_a_transaction_and_a_single_document(fhirpy: Any, scene: Scene) -> None:
    client = fhirpy(scene.laboratory.base)
    response = client.execute("", data=scene.bundle)
    reference = scene.reference
    single = client.resource(reference.pop("resourceType"), **reference).create()
    check_published(scene, response, single)


def test_fhirpy_searches_page_by_page(fhirpy: Any, scene: Scene) -> None:
    scene.surrounded()
    search = fhirpy(scene.physician.base).resources("DocumentReference").search(**scene.query)
    found = search.fetch_all()
    assert unique_ids(found) == set(scene.documents)
    assert len(scene.physician.requests) == PAGE
    assert search.count() == len(scene.documents)


def test_fhirpy_reads_an_entry_and_its_document(fhirpy: Any, scene: Scene) -> None:
    client = fhirpy(scene.physician.base)
    for one in scene.published():
        reference = client.reference("DocumentReference", one).to_resource()
        assert reference.id == one
        binary_id = reference["content"][0]["attachment"]["url"].rpartition("/")[2]
        check_binary(scene, reference, client.get("Binary", binary_id))
        assert reference.refresh()["meta"]["versionId"] == "1"
