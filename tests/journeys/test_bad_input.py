"""Bad input over HTTPS: the status of api.md, an OperationOutcome that names the element, and nothing changed.

Each case starts from a body that is accepted and spoils one thing in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fixtures.live_world import (
    MASKED,
    WHEN,
    Json,
    World,
    alone,
    expressions,
    issues,
    lab_document,
    submission,
)
from sceau.cli import bodies
from sceau.cli.samples import STRUCTURES, Patient
from sceau.fhir import codes
from sceau.fhir.ins import INS_NIR
from sceau.identity.client import HttpResponse

pytestmark = pytest.mark.xdist_group("live")

LIST = "Bundle.entry[0].resource"
DOC = "Bundle.entry[1].resource"
BINARY = "Bundle.entry[2].resource"
MHD = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/"
ATTACHMENT = f"{DOC}.content[0].attachment"
INLINE = "DocumentReference.content[0].attachment"
HOLDER = "Consent.contained[0]"
NOTHING_S_HASH = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
ANOTHER_HASH = base64.b64encode(b"twenty other bytes..").decode()
NOBODY_S_UUID = "urn:uuid:00000000-0000-4000-8000-000000000000"
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE ClinicalDocument [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b']><ClinicalDocument xmlns="urn:hl7-org:v3"><title>&j;</title></ClinicalDocument>'
)
XXE = (
    b'<?xml version="1.0"?><!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>&x;</title></ClinicalDocument>'
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A patient with an open record in which a document is published, and another patient."""

    patient: Patient
    other: Patient
    published: str


@pytest.fixture(scope="module")
def scene(world: World) -> Scene:
    patient = world.opened()
    (published,) = world.publish(patient, lab_document(patient))
    return Scene(patient, world.patient(), published)


Spoil = Callable[[Json, Scene], object]


def reference(body: Json) -> Any:
    return body["entry"][1]["resource"]


def the_list(body: Json) -> Any:
    return body["entry"][0]["resource"]


def attachment(body: Json) -> Any:
    return reference(body)["content"][0]["attachment"]


def binary(body: Json) -> Any:
    return body["entry"][2]["resource"]


def put(body: Json, data: bytes, media_type: str | None = None) -> None:
    """Other bytes, with an attachment that says so."""
    binary(body)["data"] = base64.b64encode(data).decode()
    attachment(body)["size"] = len(data)
    attachment(body)["hash"] = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
    if media_type:
        attachment(body)["contentType"] = binary(body)["contentType"] = media_type


def label(body: Json, system: str, code: str) -> None:
    reference(body)["securityLabel"] = [{"coding": [{"system": system, "code": code}]}]


def subject(patient: Patient, **changed: str) -> Json:
    return {"identifier": {"system": patient.ins_system, "value": patient.ins_value, **changed}}


def subjects(body: Json, subject: Json) -> None:
    the_list(body)["subject"] = reference(body)["subject"] = subject


def wrong_key(patient: Patient) -> str:
    return patient.ins_value[:13] + f"{int(patient.ins_value[13:]) % 97 + 1:02d}"


def patch_of_another(body: Json, scene: Scene) -> None:
    """The document replaces one entry, the patch is of another."""
    reference(body)["relatesTo"] = [
        {"code": "replaces", "target": {"reference": f"DocumentReference/{scene.published}"}}
    ]
    other = scene.published[:-1] + ("a" if scene.published[-1] != "a" else "b")
    replacing = submission(scene.patient, lab_document(scene.patient, replaces=other))
    body["entry"].append(replacing["entry"][2])


def patch_of_another_kind(body: Json, scene: Scene) -> None:
    replacing = submission(scene.patient, lab_document(scene.patient, replaces=scene.published))
    patch = replacing["entry"][2]
    patch["resource"]["parameter"][0]["part"][2]["valueCode"] = "entered-in-error"
    reference(body)["relatesTo"] = reference(replacing)["relatesTo"]
    body["entry"].append(patch)


def without(name: str, at: Callable[[Json], Any]) -> Spoil:
    def spoil(body: Json, _: Scene) -> None:
        del at(body)[name]

    return spoil


def case(name: str, spoil: Spoil, status: int, *named: str) -> Any:
    return pytest.param(spoil, status, list(named), id=name)


TRANSACTIONS = [
    case("another resource type", lambda b, _: b.update(resourceType="Patient"), 400, "Resource.resourceType"),
    case("an element that FHIR lacks", lambda b, _: reference(b).update(colour="red"), 400, f"{DOC}.colour"),
    case("an element of another type", lambda b, _: reference(b).update(date=7), 400, f"{DOC}.date"),
    case("an impossible date", lambda b, _: reference(b).update(date="2026-02-30T10:00:00Z"), 400, f"{DOC}.date"),
    case("null", lambda b, _: reference(b).update(description=None), 400, DOC),
    case("an empty string", lambda b, _: reference(b).update(description=""), 400, DOC),
    case("no entries", lambda b, _: b.pop("entry"), 400, "Bundle.entry"),
    case("a batch", lambda b, _: b.update(type="batch"), 422, "Bundle.type"),
    case("no profile", lambda b, _: b.pop("meta"), 422, "Bundle.meta.profile"),
    case("an unknown profile", lambda b, _: b.update(meta={"profile": ["urn:x"]}), 422, "Bundle.meta.profile"),
    case(
        "a Minimal bundle",
        lambda b, _: b.update(meta={"profile": [MHD + "IHE.MHD.Minimal.ProvideBundle"]}),
        422,
        "Bundle.meta.profile",
    ),
    case("an entry of another type", lambda b, _: binary(b).update(resourceType="Observation"), 422, BINARY),
    case(
        "two submission sets",
        lambda b, _: b["entry"].append({**b["entry"][0], "fullUrl": "urn:x"}),
        422,
        "Bundle.entry",
    ),
    case("hash differs", lambda b, _: attachment(b).update(hash=ANOTHER_HASH), 422, f"{ATTACHMENT}.hash"),
    case("size differs", lambda b, _: attachment(b).update(size=7), 422, f"{ATTACHMENT}.size"),
    case(
        "delayed assembly",
        lambda b, _: attachment(b).update(size=0, hash=NOTHING_S_HASH),
        422,
        ATTACHMENT,
    ),
    case("data that is not base64", lambda b, _: binary(b).update(data="%%%%"), 422, f"{BINARY}.data"),
    case("no data", lambda b, _: binary(b).pop("data"), 422, f"{BINARY}.data"),
    case("a CDA of another patient", lambda b, s: put(b, lab_document(s.other).data), 422, f"{DOC}.subject"),
    case("a CDA of another type", lambda b, s: put(b, lab_document(s.patient, "imaging").data), 422, f"{DOC}.type"),
    case("XML with nested entities", lambda b, _: put(b, BOMB), 422, f"{BINARY}.data"),
    case("XML with an external entity", lambda b, _: put(b, XXE), 422, f"{BINARY}.data"),
    case(
        "a CDA with a DOCTYPE",
        lambda b, s: put(b, lab_document(s.patient).data.replace(b"?>", b"?><!DOCTYPE ClinicalDocument>", 1)),
        422,
        f"{BINARY}.data",
    ),
    case("XML that is no CDA", lambda b, _: put(b, b"<html/>"), 422, f"{BINARY}.data"),
    case(
        "an unknown type",
        lambda b, _: reference(b)["type"]["coding"][0].update(code="1-8"),
        422,
        f"{DOC}.type.coding[0]",
    ),
    case(
        "an unknown class of the NOS",
        lambda b, _: reference(b)["category"][0]["coding"][0].update(code="98"),
        422,
        f"{DOC}.category[0].coding[0]",
    ),
    case(
        "an unknown format of the NOS",
        lambda b, _: reference(b)["content"][0]["format"].update(code="urn:nothing"),
        422,
        f"{DOC}.content[0].format",
    ),
    case("an unknown label", lambda b, _: label(b, codes.TRE_A07, "MASQUE"), 422, f"{DOC}.securityLabel[0].coding[0]"),
    case(
        "a label of another system",
        lambda b, _: label(b, "urn:x", "MASQUE_PS"),
        422,
        f"{DOC}.securityLabel[0].coding[0]",
    ),
    case(
        "a label of representatives for somebody of age",
        lambda b, _: label(b, codes.TRE_A07, "INVISIBLE_REPRESENTANTS_LEGAUX"),
        422,
        "DocumentReference.securityLabel",
    ),
    case(
        "a wrong NIR key",
        lambda b, s: subjects(b, subject(s.patient, value=wrong_key(s.patient))),
        422,
        f"{LIST}.subject",
    ),
    case("a production INS", lambda b, s: subjects(b, subject(s.patient, system=INS_NIR)), 422, f"{LIST}.subject"),
    case(
        "an unknown INS system",
        lambda b, s: subjects(b, subject(s.patient, system="urn:oid:1.2.3")),
        422,
        f"{LIST}.subject",
    ),
    case("a subject without INS", lambda b, _: subjects(b, {"display": "somebody"}), 422, f"{LIST}.subject"),
    case(
        "a set about another patient", lambda b, s: the_list(b).update(subject=subject(s.other)), 422, f"{DOC}.subject"
    ),
    case(
        "a subject that names two patients",
        lambda b, s: subjects(
            b,
            {**subject(s.patient), "reference": f"Patient?identifier={s.other.ins_system}|{s.other.ins_value}"},
        ),
        422,
        f"{LIST}.subject",
    ),
    case("an unknown media type", lambda b, _: put(b, b"PK", "application/zip"), 422, f"{ATTACHMENT}.contentType"),
    case(
        "a CDA declared as PDF",
        lambda b, s: put(b, lab_document(s.patient).data, "application/pdf"),
        422,
        f"{BINARY}.data",
    ),
    case("a PDF declared as CDA", lambda b, _: put(b, b"%PDF-1.7 not a CDA"), 422, f"{BINARY}.data"),
    case("two media types", lambda b, _: binary(b).update(contentType="text/plain"), 422, f"{BINARY}.contentType"),
    case(
        "modifierExtension",
        lambda b, _: reference(b).update(modifierExtension=[{"url": "urn:x", "valueCode": "x"}]),
        422,
        f"{DOC}.modifierExtension",
    ),
    case("docStatus", lambda b, _: reference(b).update(docStatus="final"), 422, f"{DOC}.docStatus"),
    case("not current", lambda b, _: reference(b).update(status="superseded"), 422, f"{DOC}.status"),
    case(
        "an unknown relation",
        lambda b, s: reference(b).update(
            relatesTo=[{"code": "appends", "target": {"reference": f"DocumentReference/{s.published}"}}]
        ),
        422,
        f"{DOC}.relatesTo[0].code",
    ),
    case("a patch of another target", patch_of_another, 422, "Bundle.entry[3].request.url"),
    case("a patch that deletes", patch_of_another_kind, 422, "Bundle.entry[3].resource.parameter"),
    case("a url that is no fullUrl", lambda b, _: attachment(b).update(url=NOBODY_S_UUID), 422, f"{ATTACHMENT}.url"),
    case("a set without its document", lambda b, _: the_list(b).pop("entry"), 422, f"{LIST}.entry"),
    case(
        "a dangling fragment",
        lambda b, _: reference(b).update(author=[{"reference": "#nobody"}]),
        400,
        f"{DOC}.author[0].reference",
    ),
    case(
        "a conditional entry",
        lambda b, _: b["entry"][1]["request"].update(ifNoneExist="identifier=x"),
        422,
        "Bundle.entry[1].request.ifNoneExist",
    ),
    case(
        "a DELETE in the bundle",
        lambda b, _: b["entry"][1]["request"].update(method="DELETE"),
        422,
        "Bundle.entry[1].request.method",
    ),
    case(
        "an INS as masterIdentifier",
        lambda b, s: reference(b).update(masterIdentifier=subject(s.patient)["identifier"]),
        422,
        DOC,
    ),
    case(
        "two contents",
        lambda b, _: reference(b)["content"].append(reference(b)["content"][0]),
        422,
        f"{DOC}.content[1]",
    ),
    case(
        "a period that ends before it starts",
        lambda b, _: reference(b)["context"].update(period={"start": "2026-02-02", "end": "2026-02-01"}),
        422,
        f"{DOC}.context.period",
    ),
    *(
        case(f"no {name}", without(name, reference), status, f"{DOC}.{name}")
        for name, status in {
            "status": 400,
            "content": 400,
            "masterIdentifier": 422,
            "type": 422,
            "category": 422,
            "subject": 422,
            "author": 422,
            "securityLabel": 422,
        }.items()
    ),
    *(
        case(f"no context.{name}", without(name, lambda b: reference(b)["context"]), 422, f"{DOC}.context.{name}")
        for name in ("facilityType", "practiceSetting", "sourcePatientInfo")
    ),
    *(
        case(f"no attachment.{name}", without(name, attachment), 422, f"{ATTACHMENT}.{name}")
        for name in ("contentType", "language", "creation", "url")
    ),
    case("no format", without("format", lambda b: reference(b)["content"][0]), 422, f"{DOC}.content[0].format"),
    case("no set", lambda b, _: b["entry"].pop(0), 422, "Bundle.entry"),
    case("no documents", lambda b, _: b.update(entry=b["entry"][:1]), 422, "Bundle.entry"),
    *(
        case(f"no {name} of the set", without(name, the_list), status, f"{LIST}.{name}")
        for name, status in {"status": 400, "mode": 400, "code": 422, "subject": 422, "date": 422}.items()
    ),
    case(
        "no sourceId",
        lambda b, _: the_list(b)["extension"].pop(),
        422,
        f"{LIST}.extension('{MHD}ihe-sourceId')",
    ),
    case("no fullUrl", lambda b, _: b["entry"][2].pop("fullUrl"), 422, "Bundle.entry[2].fullUrl"),
]


def refused(
    world: World, scene: Scene, send: Callable[[], HttpResponse], status: int, named: list[str] | None = None
) -> list[Json]:
    """Assert that a request is refused so, names what is wrong, says nothing of the patient, and changes nothing.

    Exactly one event more: that of the refusal, which is the one that `Sceau-Trace` names.
    """
    with world.unchanged() as since:
        answer = send()
    problems = issues(answer, status)
    for expected in named or ():
        assert any(
            one == expected or one.startswith((f"{expected}.", f"{expected}[", f"{expected}("))
            for one in expressions(problems)
        ), problems
    assert answer.headers["Sceau-Trace"] == since.event.id
    assert since.event.outcome == "4"
    assert since.event.reason in (f"refused.{status}", "denied.not-minor")
    for patient in (scene.patient, scene.other):
        for secret in (patient.ins_value, patient.birth_name, patient.first_names[0]):
            assert secret.encode() not in answer.data
            assert secret.encode() not in since.event.data
    return problems


@pytest.mark.parametrize(("spoil", "status", "named"), TRANSACTIONS)
def test_a_spoilt_transaction(world: World, scene: Scene, spoil: Spoil, status: int, named: list[str]) -> None:
    body = submission(scene.patient)
    spoil(body, scene)
    refused(world, scene, lambda: world.caller("laboratory").post("/fhir", body), status, named)


SINGLES = [
    case("no data", lambda b, _: b["content"][0]["attachment"].pop("data"), 422, f"{INLINE}.data"),
    case("a url", lambda b, _: b["content"][0]["attachment"].update(url="urn:x"), 422, f"{INLINE}.url"),
    case("an identifier", lambda b, _: b.update(identifier=[{"value": "1"}]), 422, "DocumentReference.identifier"),
    case("hash differs", lambda b, _: b["content"][0]["attachment"].update(hash=ANOTHER_HASH), 422, f"{INLINE}.hash"),
    case("size differs", lambda b, _: b["content"][0]["attachment"].update(size=1), 422, f"{INLINE}.size"),
    case("no type", lambda b, _: b.pop("type"), 422, "DocumentReference.type"),
    case("no author", lambda b, _: b.pop("author"), 422, "DocumentReference.author"),
    case("no masterIdentifier", lambda b, _: b.pop("masterIdentifier"), 422, "DocumentReference.masterIdentifier"),
    case("another patient", lambda b, s: b.update(subject=subject(s.other)), 422, "DocumentReference.subject"),
    case(
        "a wrong NIR key",
        lambda b, s: b.update(subject=subject(s.patient, value=wrong_key(s.patient))),
        422,
        "DocumentReference.subject",
    ),
    case("docStatus", lambda b, _: b.update(docStatus="final"), 422, "DocumentReference.docStatus"),
    case("a bundle", lambda b, _: b.update(resourceType="Bundle"), 400, "Resource.resourceType"),
]


@pytest.mark.parametrize(("spoil", "status", "named"), SINGLES)
def test_a_spoilt_single_publication(world: World, scene: Scene, spoil: Spoil, status: int, named: list[str]) -> None:
    body = alone(scene.patient)
    spoil(body, scene)
    refused(world, scene, lambda: world.caller("laboratory").post("/fhir/DocumentReference", body), status, named)


def opening_case(name: str, spoil: Spoil, *named: str) -> Any:
    return pytest.param("insurer", spoil, list(named), id=f"opening: {name}")


def grant_case(name: str, spoil: Spoil, *named: str) -> Any:
    return pytest.param("patient", spoil, list(named), id=f"grant: {name}")


def holder(body: Json) -> Any:
    return body["contained"][0]


CONSENTS = [
    opening_case("no INS", lambda b, _: holder(b).pop("identifier"), f"{HOLDER}.identifier"),
    opening_case(
        "a wrong NIR key",
        lambda b, s: holder(b)["identifier"][0].update(value=wrong_key(s.patient)),
        f"{HOLDER}.identifier",
    ),
    opening_case(
        "a production INS", lambda b, _: holder(b)["identifier"][0].update(system=INS_NIR), f"{HOLDER}.identifier"
    ),
    opening_case("no birth name", lambda b, _: holder(b)["name"][0].pop("family"), f"{HOLDER}.name"),
    opening_case("no first name", lambda b, _: holder(b)["name"][0].pop("given"), f"{HOLDER}.name"),
    opening_case("no sex", lambda b, _: holder(b).pop("gender"), f"{HOLDER}.gender"),
    opening_case("no birth date", lambda b, _: holder(b).pop("birthDate"), f"{HOLDER}.birthDate"),
    opening_case("no birth place", lambda b, _: holder(b).pop("extension"), f"{HOLDER}.extension"),
    opening_case(
        "of another category", lambda b, _: b["category"][0]["coding"][0].update(code="RESEARCH"), "Consent.category"
    ),
    opening_case("a deny", lambda b, _: b["provision"].update(type="deny"), "Consent.provision.type"),
    grant_case("a structure blocked", lambda b, _: b["provision"].update(type="deny"), "Consent.provision.actor"),
    grant_case("nobody", lambda b, _: b["provision"].pop("actor"), "Consent.provision.actor"),
    grant_case(
        "not to a structure",
        lambda b, _: b["provision"]["actor"][0]["reference"]["identifier"].update(system="urn:x"),
        "Consent.provision.actor",
    ),
    grant_case(
        "ended",
        lambda b, _: b["provision"].update(period={"start": "2020-01-01", "end": "2020-01-02"}),
        "Consent.provision.period",
    ),
    grant_case(
        "backwards",
        lambda b, _: b["provision"].update(period={"start": "2020-01-03", "end": "2020-01-02"}),
        "Consent.provision.period",
    ),
    grant_case("inactive", lambda b, _: b.update(status="inactive"), "Consent.status"),
]


@pytest.mark.parametrize(("actor", "spoil", "named"), CONSENTS)
def test_a_spoilt_consent(world: World, scene: Scene, actor: str, spoil: Spoil, named: list[str]) -> None:
    caller = world.caller("insurer") if actor == "insurer" else world.holder(scene.patient)
    body = (
        bodies.consent_opening(scene.patient)
        if actor == "insurer"
        else bodies.consent_grant(scene.patient, STRUCTURES["hospital"])
    )
    spoil(body, scene)
    refused(world, scene, lambda: caller.post("/fhir/Consent", body), 422, named)


@pytest.mark.parametrize("path", ["/fhir", "/fhir/DocumentReference", "/fhir/Consent"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[1, 2, 3]", id="no object"),
        pytest.param(b"<Bundle xmlns='http://hl7.org/fhir'/>", id="XML"),
        pytest.param(b'\xef\xbb\xbf{"resourceType":"Bundle"}', id="a byte order mark"),
        pytest.param(b'{"resourceType":"Bundle","type":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"resourceType":"Bundle","resourceType":"Consent"}', id="a name twice"),
        pytest.param(b'{"resourceType":"Bundle","total":NaN}', id="NaN"),
        pytest.param(b'{"resourceType":"Bundle","total":' + b"9" * 5000 + b"}", id="an endless number"),
        pytest.param(b'{"resourceType":"Bundle","id":"\\ud800"}', id="half a character"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, id="65 levels"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="50,000 levels"),
        pytest.param(b"[" * 1_000_000, id="a million brackets"),
        pytest.param(b'{"resourceType":"Consent' + b'"}', id="only a name"),
        pytest.param(b'{"id":"x"}', id="no resourceType"),
        pytest.param(b'{"resourceType":7}', id="a number as resourceType"),
    ],
)
def test_a_body_that_is_no_fhir(world: World, scene: Scene, path: str, data: bytes) -> None:
    actor = "insurer" if path == "/fhir/Consent" else "laboratory"
    refused(world, scene, lambda: world.caller(actor).post(path, data), 400)


@pytest.mark.parametrize(
    "accept", ["application/fhir+xml", "text/html", "application/fhir+json;q=0, text/xml", "image/*"]
)
def test_an_answer_in_anything_but_json_is_406(world: World, scene: Scene, accept: str) -> None:
    lab, patient = world.caller("laboratory"), world.holder(scene.patient)
    asked: list[Callable[[], HttpResponse]] = [
        lambda: lab.post("/fhir", submission(scene.patient), Accept=accept),
        lambda: lab.post("/fhir/DocumentReference", alone(scene.patient), Accept=accept),
        lambda: patient.post(
            "/fhir/Consent", bodies.consent_grant(scene.patient, STRUCTURES["hospital"]), Accept=accept
        ),
        lambda: patient.get("/fhir/DocumentReference?patient=x", Accept=accept),
        lambda: patient.get(f"/fhir/DocumentReference/{scene.published}", Accept=accept),
        lambda: patient.get("/fhir/Patient?identifier=x", Accept=accept),
        lambda: patient.get("/fhir/List?patient=x", Accept=accept),
        lambda: patient.get("/fhir/AuditEvent?date=ge2026-01-01", Accept=accept),
    ]
    for send in asked:
        refused(world, scene, send, 406)


@pytest.mark.parametrize("asked", ["xml", "application/fhir+xml", "ttl"])
def test_a_format_in_the_url_is_406_whatever_accept_says(world: World, scene: Scene, asked: str) -> None:
    lab = world.caller("laboratory")
    refused(world, scene, lambda: lab.post(f"/fhir?_format={asked}", submission(scene.patient)), 406)


@pytest.mark.parametrize(
    "content_type", ["application/fhir+xml", "application/xml", "text/plain", "application/x-www-form-urlencoded", ""]
)
def test_a_body_declared_as_anything_but_json_is_415(world: World, scene: Scene, content_type: str) -> None:
    lab, patient = world.caller("laboratory"), world.holder(scene.patient)
    sent = {"Content-Type": content_type, "Accept": "application/fhir+json"}
    bundle, single = submission(scene.patient), alone(scene.patient)
    consent = bodies.consent_grant(scene.patient, STRUCTURES["hospital"])
    refused(world, scene, lambda: lab.call("POST", "/fhir", bundle, sent), 415)
    refused(world, scene, lambda: lab.call("POST", "/fhir/DocumentReference", single, sent), 415)
    refused(world, scene, lambda: patient.call("POST", "/fhir/Consent", consent, sent), 415)


def test_a_search_form_declared_as_something_else_is_415(world: World, scene: Scene) -> None:
    patient = world.holder(scene.patient)
    for resource in ("DocumentReference", "Patient", "List"):
        refused(world, scene, lambda at=resource: patient.post(f"/fhir/{at}/_search", b"_count=1"), 415)  # type: ignore[misc]  # binds the loop's value


def test_a_class_that_is_not_the_types_is_refused_strictly_and_else_told(world: World, scene: Scene) -> None:
    lab = world.caller("laboratory")
    body = submission(scene.patient)
    reference(body)["category"][0]["coding"][0]["code"] = "52"
    at = f"{DOC}.category[0].coding[0]"
    refused(world, scene, lambda: lab.post("/fhir", body, Prefer="handling=strict"), 422, [at])
    patient = world.opened()
    body = submission(patient)
    reference(body)["category"][0]["coding"][0]["code"] = "52"
    answer = lab.post("/fhir", body)
    assert answer.status == 200
    outcome = json.loads(answer.data)["entry"][1]["response"]["outcome"]
    assert [(one["severity"], one["expression"]) for one in outcome["issue"]] == [("warning", [at])]
    single = alone(patient)
    single["category"][0]["coding"][0]["code"] = "52"
    answer = lab.post("/fhir/DocumentReference", single, Prefer="return=OperationOutcome")
    assert (answer.status, json.loads(answer.data)["resourceType"]) == (201, "OperationOutcome")
    assert [one["severity"] for one in json.loads(answer.data)["issue"]] == ["warning"]
    own_id = answer.headers["Location"].rpartition("/fhir/")[2]
    assert world.holder(patient).get(f"/fhir/{own_id}").status == 200
    answer = lab.post("/fhir/DocumentReference", alone(patient), Prefer="return=OperationOutcome")
    assert [one["severity"] for one in json.loads(answer.data)["issue"]] == ["information"]


@pytest.mark.parametrize("one_bad", [0, 1, 2])
def test_one_bad_document_of_three_keeps_all_three_out(world: World, scene: Scene, one_bad: int) -> None:
    body = submission(scene.patient, *(lab_document(scene.patient) for _ in range(3)))
    spoilt = body["entry"][1 + 2 * one_bad]["resource"]
    spoilt["type"]["coding"][0]["code"] = "0-0"
    lab = world.caller("laboratory")
    refused(world, scene, lambda: lab.post("/fhir", body), 422, [f"Bundle.entry[{1 + 2 * one_bad}].resource.type"])


def test_several_problems_are_told_at_once(world: World, scene: Scene) -> None:
    body = submission(scene.patient, lab_document(scene.patient, label=MASKED))
    label(body, codes.TRE_A07, "INVISIBLE")
    del reference(body)["masterIdentifier"]
    reference(body)["type"]["coding"][0]["code"] = "0-0"
    told = refused(world, scene, lambda: world.caller("laboratory").post("/fhir", body), 422)
    assert {f"{DOC}.masterIdentifier", f"{DOC}.securityLabel[0].coding[0]", f"{DOC}.type.coding[0]"} <= set(
        expressions(told)
    )


@pytest.mark.parametrize(
    ("content_type", "query"),
    [
        ("application/fhir+json", ""),
        ("application/json", ""),
        ("application/fhir+json; charset=utf-8", ""),
        ("Application/FHIR+JSON;fhirVersion=4.0", ""),
        ("application/fhir+json", "?_format=json"),
        ("application/fhir+json", "?_format=application/fhir%2Bjson"),
    ],
)
def test_every_name_of_json_is_taken(world: World, content_type: str, query: str) -> None:
    sent = {"Content-Type": content_type, "Accept": content_type}
    answer = world.caller("laboratory").call("POST", f"/fhir{query}", submission(world.opened()), sent)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/fhir+json")


def test_what_was_not_spoilt_is_accepted(world: World) -> None:
    """The cases above are refused for what is spoilt in them, and for nothing else."""
    patient = world.opened()
    lab = world.caller("laboratory")
    assert lab.post("/fhir", submission(patient)).status == 200
    assert lab.post("/fhir/DocumentReference", alone(patient)).status == 201
    grant = bodies.consent_grant(patient, STRUCTURES["hospital"], start=WHEN)
    assert world.holder(patient).post("/fhir/Consent", grant).status == 201
