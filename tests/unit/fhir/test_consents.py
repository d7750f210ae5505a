"""Consent: opening a record, authorising a structure, withdrawing it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fixtures.bodies import (
    OTHER,
    PATIENT,
    RECORD,
    SET_ENTRY,
    UPDATED,
    WHEN,
    Json,
    changed,
    consented,
    consented_again,
    expressions,
    grant,
    opening,
    refused,
)
from sceau.access.model import Identifier, Reason, Verdict
from sceau.cli.bodies import consent_decision, consent_life, consent_opening
from sceau.cli.body_parts import stored_patient
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES
from sceau.fhir.consent_life import CLOSING, DELETION, DMP_MOTIVES, MOTIVES
from sceau.fhir.consent_resources import access_statement, consent
from sceau.fhir.consents import DecisionRequest, LifeRequest, OpeningRequest
from sceau.fhir.patient import BIRTH_PLACE, INSEE_CODE
from sceau_schemas.dossier import DossierHead, StoredConsent, StoredIdentifier
from sceau_schemas.rules import RuleSettings

HOSPITAL = StoredIdentifier(system="urn:oid:1.2.250.1.71.4.2.2", value=STRUCTURES["hospital"].identifier)


@pytest.mark.parametrize("name", sorted(PATIENTS))
def test_an_opening_gives_ins_and_the_five_traits(name: str) -> None:
    got = consented(consent_opening(PATIENTS[name]))
    assert got == OpeningRequest(stored_patient(PATIENTS[name]))


def test_birth_abroad_and_a_partial_date_are_traits_too() -> None:
    def abroad(c: Json) -> None:
        who = c["contained"][0]
        who["birthDate"] = "1979"
        coding = who["extension"][0]["valueAddress"]["extension"][0]["valueCoding"]
        coding["code"] = "99139"

    got = consented(changed(opening(), abroad))
    assert isinstance(got, OpeningRequest)
    assert (got.patient.birth_place, got.patient.birth_date) == ("99139", "1979")


def test_a_grant_names_patient_structure_and_period() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    got = consented(grant(start=start, end=end))
    assert got == DecisionRequest(
        kind="grant",
        status="active",
        patient=Identifier(PATIENT.ins_system, PATIENT.ins_value),
        record_id=None,
        grantee=HOSPITAL,
        grantee_display="Hôpital Modèle",
        start=int(start.timestamp() * 1000),
        end=int(end.timestamp() * 1000) + 1000,  # FHIR's end is inclusive: this whole second
    )


def test_a_withdrawal_is_the_same_grant_inactive() -> None:
    got = consented(grant(active=False))
    assert isinstance(got, DecisionRequest)
    assert (got.status, got.grantee, got.start, got.end) == ("inactive", HOSPITAL, None, None)


def test_a_grant_may_name_the_record_instead_of_the_ins() -> None:
    got = consented(changed(grant(), lambda c: c.update(patient={"reference": f"Patient/{RECORD}"})))
    assert isinstance(got, DecisionRequest)
    assert (got.patient, got.record_id) == (None, RECORD)


def test_a_grantee_may_be_a_contained_organisation() -> None:
    def contain(c: Json) -> None:
        identifier = {"system": "https://finess.esante.gouv.fr", "value": HOSPITAL.value[1:]}
        c["contained"] = [{"resourceType": "Organization", "id": "o", "identifier": [identifier]}]
        c["provision"]["actor"][0]["reference"] = {"reference": "#o"}

    got = consented(changed(grant(), contain))
    assert isinstance(got, DecisionRequest)
    assert got.grantee == HOSPITAL


def test_a_whole_day_ends_with_it() -> None:
    got = consented(
        changed(grant(), lambda c: c["provision"].update(period={"start": "1970-01-02", "end": "1970-01-02"}))
    )
    assert isinstance(got, DecisionRequest)
    assert (got.start, got.end) == (86_400_000, 172_800_000)


def test_what_is_not_kept_is_said() -> None:
    sent = changed(grant(), lambda c: c.update(organization=[{"display": "x"}], identifier=[{"value": "1"}]))
    assert expressions(consented(sent).warnings) == ["Consent.identifier", "Consent.organization"]


def other_ins(c: Json) -> None:
    ins = {"system": OTHER.ins_system, "value": OTHER.ins_value}
    c["contained"][0]["identifier"].append(ins)


def place(c: Json) -> Any:
    return c["contained"][0]["extension"][0]["valueAddress"]["extension"][0]["valueCoding"]


PATIENT_AT = "Consent.contained[0]"
PLACE_AT = f"{PATIENT_AT}.extension('{BIRTH_PLACE}').value"


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        pytest.param(lambda c: c["contained"][0].pop("identifier"), PATIENT_AT + ".identifier", id="no INS"),
        pytest.param(other_ins, PATIENT_AT + ".identifier", id="two INS"),
        pytest.param(
            lambda c: c["contained"][0]["identifier"][0].update(value=PATIENT.ins_value[:13] + "99"),
            PATIENT_AT + ".identifier",
            id="a wrong key",
        ),
        pytest.param(
            lambda c: c["contained"][0]["identifier"][0].update(system="urn:oid:1.2.250.1.213.1.4.8"),
            PATIENT_AT + ".identifier",
            id="a production number on a test service",
        ),
        pytest.param(lambda c: c["contained"][0].pop("name"), PATIENT_AT + ".name", id="no name"),
        pytest.param(
            lambda c: c["contained"][0]["name"][0].update(use="usual"), PATIENT_AT + ".name", id="no official name"
        ),
        pytest.param(
            lambda c: c["contained"][0]["name"][0].pop("family"),
            PATIENT_AT + ".name.where(use='official').family",
            id="no birth name",
        ),
        pytest.param(
            lambda c: c["contained"][0]["name"][0].pop("given"),
            PATIENT_AT + ".name.where(use='official').given",
            id="no first names",
        ),
        pytest.param(lambda c: c["contained"][0].pop("birthDate"), PATIENT_AT + ".birthDate", id="no birth date"),
        pytest.param(lambda c: c["contained"][0].pop("gender"), PATIENT_AT + ".gender", id="no sex"),
        pytest.param(lambda c: c["contained"][0].pop("extension"), PLACE_AT, id="no birth place"),
        pytest.param(lambda c: place(c).update(code="Lyon"), PLACE_AT, id="a birth place in words"),
        pytest.param(lambda c: place(c).update(code="٠٠١٠١"), PLACE_AT, id="a birth place in other digits"),
        pytest.param(
            lambda c: c["contained"][0]["extension"][0]["valueAddress"].update(extension=[INSEE_CODE]),
            PLACE_AT,
            id="a birth place of a wrong shape",
        ),
        pytest.param(lambda c: c.update(patient={"reference": "Patient/1"}), "Consent.patient", id="nobody contained"),
        pytest.param(lambda c: c.pop("patient"), "Consent.patient", id="no patient"),
        pytest.param(lambda c: c.update(status="inactive"), "Consent.status", id="an opening that is inactive"),
        pytest.param(
            lambda c: c["provision"].update(period={"end": "2030"}), "Consent.provision", id="an opening for a time"
        ),
    ],
)
def test_an_incomplete_opening_is_refused_at_its_element(change: Any, expression: str) -> None:
    error = refused(consented, changed(opening(), change))
    assert error.status == 422
    assert expression in expressions(error.problems)


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        pytest.param(lambda c: c["scope"]["coding"][0].update(code="research"), "Consent.scope", id="another scope"),
        pytest.param(
            lambda c: c["category"][0]["coding"][0].update(code="RESEARCH"), "Consent.category", id="another category"
        ),
        pytest.param(
            lambda c: c["category"].extend(opening()["category"]), "Consent.category", id="opening and grant at once"
        ),
        pytest.param(
            lambda c: c["policyRule"]["coding"][0].update(code="OPTOUT"),
            "Consent.policyRule",
            id="OPTOUT",
        ),
        pytest.param(
            lambda c: c["policyRule"]["coding"].append({"system": "urn:x", "code": "y"}),
            "Consent.policyRule",
            id="a second rule beside",
        ),
        pytest.param(lambda c: c.pop("policyRule"), "Consent.policyRule", id="no rule"),
        pytest.param(
            lambda c: (c["provision"].pop("period"), c["provision"].update(type="deny")),
            "Consent.provision.actor[0].reference",
            id="a block of a structure",
        ),
        *(
            pytest.param(
                lambda c, name=name, value=value: c["provision"].update({name: value}),
                f"Consent.provision.{name}",
                id=f"narrowed by {name}",
            )
            for name, value in {
                "securityLabel": [{"code": "N"}],
                "purpose": [{"code": "TREAT"}],
                "class": [{"code": "x"}],
                "code": [{"text": "x"}],
                "dataPeriod": {"start": "2026"},
                "data": [{"meaning": "instance", "reference": {"display": "x"}}],
                "provision": [{"type": "deny"}],
            }.items()
        ),
        pytest.param(
            lambda c: c["provision"].update(action=[{"coding": [{"system": "urn:x", "code": "correct"}]}]),
            "Consent.provision.action[0]",
            id="another action",
        ),
        pytest.param(lambda c: c["provision"].pop("actor"), "Consent.provision.actor", id="nobody"),
        pytest.param(lambda c: c.pop("provision"), "Consent.provision", id="nothing"),
        pytest.param(
            lambda c: c["provision"]["actor"].append(c["provision"]["actor"][0]), "Consent.provision.actor[1]", id="two"
        ),
        pytest.param(
            lambda c: c["provision"]["actor"][0]["reference"]["identifier"].update(value="100000"),
            "Consent.provision.actor[0].reference.identifier.value",
            id="a FINESS that is none",
        ),
        pytest.param(
            lambda c: c["provision"]["actor"][0]["reference"].update(
                identifier={"system": "urn:oid:1.2.250.1.71.4.2.1", "value": "8997"}
            ),
            "Consent.provision.actor[0].reference.identifier.value",
            id="an RPPS that is none",
        ),
        pytest.param(
            lambda c: c["provision"]["actor"][0].update(reference={"display": "l'hôpital"}),
            "Consent.provision.actor[0].reference",
            id="a structure in words",
        ),
        pytest.param(
            lambda c: c["provision"]["actor"][0]["role"]["coding"][0].update(code="AUT"),
            "Consent.provision.actor[0].role",
            id="another role",
        ),
        pytest.param(
            lambda c: c["provision"].update(period={"start": "2027", "end": "2026"}),
            "Consent.provision.period",
            id="ends before it starts",
        ),
        pytest.param(
            lambda c: c["provision"].update(period={"start": "1969"}),
            "Consent.provision.period.start",
            id="too early",
        ),
        pytest.param(
            lambda c: c["provision"].update(period={"end": "1960"}),
            "Consent.provision.period.end",
            id="ends too early",
        ),
        pytest.param(lambda c: c.update(status="draft"), "Consent.status", id="a draft"),
        pytest.param(lambda c: c.pop("patient"), "Consent.patient", id="no patient"),
        pytest.param(
            lambda c: c.update(patient={"reference": "Patient/123"}),
            "Consent.patient.reference",
            id="unknown patient",
        ),
    ],
)
def test_a_grant_that_means_something_else_is_refused(change: Any, expression: str) -> None:
    error = refused(consented, changed(grant(start=WHEN), change))
    assert error.status == 422
    assert expression in expressions(error.problems)


def test_the_examples_of_the_documentation_are_accepted() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "consents.md").read_text("utf-8")
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert consented(blocks[0]) == OpeningRequest(stored_patient(PATIENT))
    told = [consented(block) for block in blocks[1:-1]]
    assert [one.kind for one in told if isinstance(one, DecisionRequest)] == ["grant", "medecin_traitant", "opposition"]
    assert isinstance(consented_again(blocks[-1]), LifeRequest)


def stored_grant(start: int | None, end: int | None, *, active: bool = True) -> StoredConsent:
    return StoredConsent(
        id=SET_ENTRY,
        version=2,
        updated=UPDATED,
        event="e",
        kind="grant",
        status="active" if active else "inactive",
        grantee=HOSPITAL,
        grantee_display="Hôpital",
        start=start,
        end=end,
        by="patient",
    )


MILLIS = st.integers(0, 4_000_000_000_000)
YEAR = 365 * 86_400_000
SETTINGS = RuleSettings()


@given(MILLIS, st.none() | MILLIS, st.booleans())
def test_a_stored_grant_that_goes_out_and_comes_back_is_the_same(start: int, length: int | None, active: bool) -> None:
    """But that its end is said, which is no later than its kind's duration."""
    end = None if length is None else start + length + 1
    told = consent(stored_grant(start, end, active=active), record_id=RECORD, settings=SETTINGS)
    got = consented_again(told)
    assert got == DecisionRequest(
        kind="grant",
        status="active" if active else "inactive",
        patient=None,
        record_id=RECORD,
        grantee=HOSPITAL,
        grantee_display="Hôpital",
        start=start,
        end=start + YEAR if end is None else min(end, start + YEAR),
    )


DOCTOR = AUTHORS["general_practitioner"]
PERSON = StoredIdentifier(system="urn:oid:1.2.250.1.71.4.2.1", value=DOCTOR.identifier)


@pytest.mark.parametrize(
    ("kind", "status", "mode"),
    [
        ("grant", "active", None),
        ("express", "active", None),
        ("delegation", "inactive", None),
        ("medecin_traitant", "proposed", None),
        ("medecin_traitant", "active", None),
        ("medecin_traitant", "rejected", None),
        ("block", "active", None),
        ("opposition", "active", "bris_de_glace"),
        ("opposition", "inactive", "centre_15"),
    ],
)
def test_every_decision_goes_out_as_it_came_in(kind: Any, status: Any, mode: Any) -> None:
    person = None if kind == "opposition" else DOCTOR
    sent = consent_decision(PATIENT, kind, person, status=status, mode=mode)
    got = consented_again(sent)
    assert isinstance(got, DecisionRequest)
    assert (got.kind, got.status, got.mode) == (kind, status, mode)
    assert got.grantee == (PERSON if person else None)
    stored = StoredConsent(
        id=SET_ENTRY,
        version=1,
        updated=UPDATED,
        event="e",
        kind=kind,
        status=status,
        mode=mode,
        grantee=got.grantee,
        grantee_display=got.grantee_display,
        start=UPDATED,
        by=f"patient {RECORD}",
    )
    told = consent(stored, record_id=RECORD, settings=SETTINGS)
    assert told["performer"] == [{"reference": f"Patient/{RECORD}"}]
    assert ("period" in told["provision"]) is (kind in ("grant", "express", "delegation"))
    again = consented_again(told)
    assert isinstance(again, DecisionRequest)
    assert (again.kind, again.status, again.mode, again.grantee) == (kind, status, mode, got.grantee)


def test_who_collected_a_consent_is_said() -> None:
    collected = stored_grant(UPDATED, None).model_copy(update={"by": f"professional {DOCTOR.identifier}"})
    told = consent(collected, record_id=RECORD, settings=SETTINGS)
    assert told["performer"] == [
        {"type": "Practitioner", "identifier": {"system": PERSON.system, "value": DOCTOR.identifier}}
    ]


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        pytest.param(lambda c: c["provision"].pop("purpose"), "Consent.provision.purpose", id="no emergency access"),
        pytest.param(
            lambda c: c["provision"]["purpose"][0].update(code="TREAT"),
            "Consent.provision.purpose",
            id="another purpose",
        ),
        pytest.param(
            lambda c: c["provision"]["purpose"].append(c["provision"]["purpose"][0]),
            "Consent.provision.purpose",
            id="two at once",
        ),
        pytest.param(
            lambda c: c["provision"].update(period={"start": "2027"}), "Consent.provision.period", id="with a period"
        ),
        pytest.param(lambda c: c.update(status="proposed"), "Consent.status", id="proposed"),
    ],
)
def test_an_opposition_names_one_emergency_access(change: Any, expression: str) -> None:
    sent = consent_decision(PATIENT, "opposition", mode="bris_de_glace")
    error = refused(consented, changed(sent, change))
    assert error.status == 422
    assert expression in expressions(error.problems)


@pytest.mark.parametrize("kind", ["express", "delegation", "medecin_traitant", "block"])
def test_what_is_about_a_person_names_one(kind: Any) -> None:
    sent = consent_decision(PATIENT, kind, DOCTOR)
    structure = {"type": "Organization", "identifier": {"system": HOSPITAL.system, "value": HOSPITAL.value}}
    error = refused(consented, changed(sent, lambda c: c["provision"]["actor"][0].update(reference=structure)))
    assert "Consent.provision.actor[0].reference" in expressions(error.problems)


def test_a_person_may_be_named_by_rpps() -> None:
    rpps = {"system": "https://rpps.esante.gouv.fr", "value": DOCTOR.identifier[1:]}
    sent = consent_decision(PATIENT, "block", DOCTOR)
    got = consented(changed(sent, lambda c: c["provision"]["actor"][0]["reference"].update(identifier=rpps)))
    assert isinstance(got, DecisionRequest)
    assert got.grantee == PERSON


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["provision"]["purpose"][0].update(system="urn:x"),
        lambda c: c["provision"]["purpose"][0].update(code="autre"),
        lambda c: c["provision"]["purpose"].append({"system": "urn:x", "code": "y"}),
    ],
)
def test_an_express_consent_says_that_it_is_one(change: Any) -> None:
    error = refused(consented, changed(consent_decision(PATIENT, "express", DOCTOR), change))
    assert "Consent.provision.purpose" in expressions(error.problems)


def test_a_block_for_a_purpose_is_refused() -> None:
    sent = consent_decision(PATIENT, "block", DOCTOR)
    purpose = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG"}]
    error = refused(consented, changed(sent, lambda c: c["provision"].update(purpose=purpose)))
    assert "Consent.provision.purpose" in expressions(error.problems)


def test_a_closing_has_the_holders_words_and_a_reopening_none() -> None:
    got = consented_again(consent_life(PATIENT, active=False, reason="Je pars à l'étranger."))
    assert got == LifeRequest(
        Identifier(PATIENT.ins_system, PATIENT.ins_value), None, active=False, reason="Je pars à l'étranger."
    )
    again = changed(consent_life(PATIENT, active=True), lambda c: c.update(patient={"reference": f"Patient/{RECORD}"}))
    assert consented_again(again) == LifeRequest(None, RECORD, active=True)


@pytest.mark.parametrize(
    ("body", "change", "expression"),
    [
        (consent_life(PATIENT, active=True, reason="x"), lambda c: None, "Consent.extension"),
        (consent_life(PATIENT, active=False, reason="x" * 501), lambda c: None, "Consent.extension"),
        (consent_life(PATIENT, active=False), lambda c: c.update(status="rejected"), "Consent.status"),
        (consent_life(PATIENT, active=False), lambda c: c.pop("patient"), "Consent.patient"),
        (
            consent_life(PATIENT, active=False),
            lambda c: c.update(provision={"type": "deny"}),
            "Consent.provision.type",
        ),
        (
            consent_life(PATIENT, active=False),
            lambda c: c.update(provision={"type": "permit", "period": {"start": "2027"}}),
            "Consent.provision",
        ),
    ],
)
def test_a_closing_that_means_something_else_is_refused(body: Json, change: Any, expression: str) -> None:
    error = refused(consented_again, changed(body, change))
    assert error.status == 422
    assert any((found or "").startswith(expression) for found in expressions(error.problems))


def test_a_closed_record_tells_its_holder_why() -> None:
    own = StoredConsent(
        id=SET_ENTRY, version=2, updated=UPDATED, event="e", kind="opening", status="inactive", by=f"patient {RECORD}"
    )
    told = consent(own, record_id=RECORD, settings=SETTINGS, closed=closed_head(closing_reason="Départ"))
    assert consented_again(told) == LifeRequest(None, RECORD, active=False, reason="Départ")


def test_a_record_that_is_to_be_deleted_says_so_and_a_death_is_told() -> None:
    own = StoredConsent(
        id=SET_ENTRY, version=2, updated=UPDATED, event="e", kind="opening", status="inactive", by="insurer caisse"
    )
    head = closed_head(died=UPDATED, deletion_requested=UPDATED)
    told = consent(own, record_id=RECORD, settings=SETTINGS, closed=head)
    assert consented_again(told) == LifeRequest(None, RECORD, active=False, deletion=True, death=True)


def closed_head(**more: Any) -> DossierHead:
    patient = stored_patient(DOMINIQUE)
    return DossierHead(
        record_id=RECORD,
        version=2,
        status="closed",
        opened=UPDATED,
        closed=UPDATED,
        updated=UPDATED,
        patient=patient,
        consents=(),
        **more,
    )


LIFE = [
    ({"url": CLOSING, "extension": [{"url": "motifFermeture", "valueCodeableConcept": concept}]}, "Consent.extension")
    for concept in (
        {"coding": "deces"},
        {"coding": [{"system": MOTIVES, "code": "autre"}]},
        {"coding": [{"code": "deces"}]},
    )
] + [
    ({"url": DELETION, "valueBoolean": False}, "Consent.extension"),
    ({"url": DELETION, "valueString": "true"}, "Consent.extension"),
]


@pytest.mark.parametrize(("extension", "expression"), LIFE)
def test_what_is_half_said_of_a_record_s_end_is_refused(extension: Json, expression: str) -> None:
    body = consent_life(DOMINIQUE, active=False) | {"extension": [extension]}
    error = refused(consented_again, body)
    assert error.status == 422
    assert any((found or "").startswith(expression) for found in expressions(error.problems))


def test_the_guide_s_own_motive_is_a_closing_by_the_holder() -> None:
    motive = {"coding": [{"system": DMP_MOTIVES, "code": "patient-demande"}]}
    closing = {"url": CLOSING, "extension": [{"url": "motifFermeture", "valueCodeableConcept": motive}]}
    asked = consented_again(consent_life(DOMINIQUE, active=False) | {"extension": [closing]})
    assert isinstance(asked, LifeRequest)
    assert (asked.active, asked.death, asked.deletion) == (False, False, False)


def test_an_active_record_is_not_deleted() -> None:
    error = refused(consented_again, consent_life(DOMINIQUE, active=True, deletion=True))
    assert error.status == 422


def test_an_opening_goes_out_without_the_identity() -> None:
    own = StoredConsent(
        id=SET_ENTRY, version=1, updated=UPDATED, event="e", kind="opening", status="active", by="insurer"
    )
    told = consent(own, record_id=RECORD, settings=SETTINGS)
    assert told["patient"] == {"reference": f"Patient/{RECORD}"}
    assert told["category"][0]["coding"][0]["code"] == "ICOL"
    assert "contained" not in told
    assert told["meta"] == {"versionId": "1", "lastUpdated": "2026-06-12T08:13:20.123Z"}


@pytest.mark.parametrize(("reading", "expected"), [(True, "permit"), (False, "deny")])
def test_what_the_caller_may_do_is_told_with_its_reason(reading: bool, expected: str) -> None:
    verdicts = {"access": Verdict(reading, Reason.DENIED_NO_GRANT), "collect": Verdict(True, Reason.ALLOWED_FEEDING)}
    told = access_statement(RECORD, verdicts)
    assert told["provision"]["type"] == expected
    assert told["policyRule"] == {"text": "denied.no-grant"}
    (feeding,) = told["provision"]["provision"]
    assert (feeding["type"], feeding["action"][0]["coding"][0]["code"]) == ("permit", "collect")
    assert feeding["extension"] == [{"url": "urn:sceau:fhir:reason", "valueCode": "allowed.feeding"}]
