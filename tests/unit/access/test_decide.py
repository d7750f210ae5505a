"""Single rules of the decision, each with its reason: the refusals that a trace keeps, and the borders of time."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from sceau.access.acts import RULES as ACTS, may_ask
from sceau.access.decide import Decision, of_own_structure
from sceau.access.document_types import PATIENT_TYPES
from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    Caution,
    DocumentFacts,
    Grant,
    GrantKind,
    Identifier,
    Mode,
    Reason,
    RecordFacts,
    RecordStatus,
    Verdict,
)
from sceau.access.scopes import covered, is_scope, permits
from unit.access.space import (
    COLLEAGUE,
    HOSPITAL,
    LABORATORY,
    MAJOR,
    MINOR,
    NOW,
    OTHER,
    PHYSICIAN,
    RECORD,
    RULES,
    SCOPES,
    STRUCTURES,
    TYPES,
    YESTERDAY,
    actor,
    breaking_glass,
    document,
    record,
    regulating,
    verdict,
)

OF_A_RECORD = [ActorKind.PATIENT, ActorKind.REPRESENTATIVE, ActorKind.PROFESSIONAL]
WITHOUT_RECORD = {Act.READ_REVIEW_QUEUE, Act.REVIEW, Act.COUNT_REVIEWS}


@pytest.mark.parametrize("kind", OF_A_RECORD)
@pytest.mark.parametrize("named", [None, OTHER])
def test_a_token_of_another_record_or_of_none_reaches_nothing(kind: ActorKind, named: str | None) -> None:
    for act in Act:
        found = verdict(act, actor(kind, record_id=named), record("structure", birth_date=MINOR))
        assert not found.allowed
        assert found.reason in (Reason.DENIED_OTHER_RECORD, Reason.DENIED_ACTOR)


def test_software_may_have_a_token_that_names_no_record_and_none_of_another() -> None:
    own = document(author_structures=frozenset({HOSPITAL}))
    software = actor(ActorKind.SOFTWARE, record_id=None)
    assert verdict(Act.PUBLISH, software, record(), own) == Verdict(True, Reason.ALLOWED_FEEDING)
    other = actor(ActorKind.SOFTWARE, record_id=OTHER)
    assert verdict(Act.PUBLISH, other, record(), own).reason is Reason.DENIED_OTHER_RECORD


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        (Grant(HOSPITAL, NOW), True),
        (Grant(HOSPITAL, NOW + timedelta(milliseconds=1)), False),
        (Grant(HOSPITAL, NOW - timedelta(days=2), NOW), False),
        (Grant(HOSPITAL, NOW - timedelta(days=2), NOW + timedelta(milliseconds=1)), True),
        (Grant(LABORATORY, NOW - timedelta(days=2)), False),
        (Grant(Identifier("urn:oid:1.2.3", HOSPITAL.value), NOW), False),
        (Grant(PHYSICIAN, NOW), False),  # a structure's authorisation names a structure
        (Grant(HOSPITAL, NOW, kind=GrantKind.PROFESSIONAL), False),
        (Grant(PHYSICIAN, NOW, kind=GrantKind.PROFESSIONAL), True),
        (Grant(COLLEAGUE, NOW, kind=GrantKind.PROFESSIONAL), False),
        (Grant(HOSPITAL, NOW, kind=GrantKind.DELEGATION), False),
        (Grant(PHYSICIAN, NOW, kind=GrantKind.EXPRESS), False),
    ],
)
def test_a_grant_counts_for_its_grantee_and_its_time_only(grant: Grant, allowed: bool) -> None:
    found = verdict(Act.SEARCH, actor(), record(grant))
    assert found.allowed is allowed
    assert allowed or found.reason is Reason.DENIED_NO_GRANT


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize("kind", list(ActorKind))
def test_a_scope_is_a_ceiling(act: Act, kind: ActorKind) -> None:
    """Without any scope, with another level's, or with another resource's, nothing is allowed."""
    for scope in (
        "openid",
        "ops/*.cruds" if kind is not ActorKind.OPERATIONS else "user/*.cruds",
        "system/Basic.cruds",
    ):
        found = verdict(act, actor(kind, scopes=frozenset({scope})), record("structure"), document())
        assert found.reason is (Reason.DENIED_SCOPE if kind in ACTS[act].kinds else Reason.DENIED_ACTOR)


@pytest.mark.parametrize("act", list(Act))
def test_one_letter_of_one_resource_is_all_that_an_act_needs(act: Act) -> None:
    rule = ACTS[act]
    for kind in rule.kinds:
        prefix = f"{SCOPES[kind].partition('/')[0]}/{rule.resource}."
        assert may_ask(act, actor(kind, scopes=frozenset({prefix + rule.letter}))) is None
        others = "cruds".replace(rule.letter, "")
        denied = may_ask(act, actor(kind, scopes=frozenset({prefix + others})))
        assert denied == Verdict(False, Reason.DENIED_SCOPE)


def test_what_may_ask_denies_decide_denies_for_the_same_reason() -> None:
    for act, kind in itertools.product(Act, ActorKind):
        who = actor(kind, scopes=frozenset({"user/Basic.r"}))
        early = may_ask(act, who)
        assert early is not None
        assert early.reason is verdict(act, who, record()).reason


RECORDS: list[tuple[Act, Actor, RecordFacts, Reason]] = [
    (Act.SEARCH, actor(), record(status=RecordStatus.ABSENT), Reason.DENIED_NO_RECORD),
    (Act.SEARCH, actor(), record("structure", status=RecordStatus.CLOSED), Reason.DENIED_CLOSED),
    (Act.SEARCH, actor(), record("structure", status=RecordStatus.SUSPENDED), Reason.DENIED_SUSPENDED),
    (Act.SEARCH, actor(), record(), Reason.DENIED_NO_GRANT),
    (Act.SEARCH, actor(), record("structure"), Reason.ALLOWED_GRANT),
    (Act.SEARCH, actor(), record("professional"), Reason.ALLOWED_CONSENT),
    (Act.SEARCH, actor(), record("delegation", "structure"), Reason.ALLOWED_DELEGATION),
    (Act.SEARCH, actor(), record("medecin_traitant", "delegation"), Reason.ALLOWED_MEDECIN_TRAITANT),
    (Act.SEARCH, actor(), record("structure", "professional"), Reason.ALLOWED_GRANT),
    (Act.SEARCH, actor(profession="60"), record("medecin_traitant"), Reason.DENIED_NO_GRANT),
    (Act.SEARCH, actor(), record("structure", blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (Act.SEARCH, actor(), record("structure", blocked=frozenset({COLLEAGUE})), Reason.ALLOWED_GRANT),
    (Act.SEARCH, actor(sectors=frozenset({"SA24"})), record("structure"), Reason.DENIED_INSURANCE),
    (Act.SEARCH, actor(sectors=frozenset({"SA01", "SA23"})), record("express"), Reason.DENIED_INSURANCE),
    (Act.SEARCH, actor(sectors=frozenset({"SA66"})), record("structure"), Reason.DENIED_NO_EXPRESS_CONSENT),
    (Act.SEARCH, actor(sectors=frozenset({"SA13"})), record("professional"), Reason.DENIED_NO_EXPRESS_CONSENT),
    (Act.SEARCH, actor(sectors=frozenset({"SA68"})), record("structure"), Reason.DENIED_NO_EXPRESS_CONSENT),
    (Act.SEARCH, actor(sectors=frozenset({"SA47"})), record("express"), Reason.ALLOWED_EXPRESS_CONSENT),
    (Act.SEARCH, actor(specialties=frozenset({"SM25"})), record("structure"), Reason.DENIED_NO_EXPRESS_CONSENT),
    (Act.SEARCH, actor(specialties=frozenset({"SM25"})), record("express"), Reason.ALLOWED_EXPRESS_CONSENT),
    (Act.SEARCH, actor(sectors=frozenset({"SA66"})), record("medecin_traitant"), Reason.DENIED_NO_EXPRESS_CONSENT),
    (Act.SEARCH, actor(sectors=frozenset({"SA66"}), profession="60"), record("express"), Reason.DENIED_PROFESSION),
    (Act.SEARCH, actor(sectors=frozenset({"SA15"})), record("structure"), Reason.ALLOWED_GRANT),
    (Act.SEARCH, actor(sectors=frozenset({"SA17"})), record("structure"), Reason.ALLOWED_GRANT),
    (Act.SEARCH, breaking_glass(), record(), Reason.ALLOWED_BRIS_DE_GLACE),
    (Act.SEARCH, breaking_glass(profession="60"), record(), Reason.ALLOWED_BRIS_DE_GLACE),
    (Act.SEARCH, breaking_glass(profession="93"), record("structure"), Reason.DENIED_PROFESSION),
    (Act.SEARCH, breaking_glass(sectors=frozenset({"SA24"})), record(), Reason.DENIED_INSURANCE),
    (Act.SEARCH, breaking_glass(sectors=frozenset({"SA68"})), record(), Reason.ALLOWED_BRIS_DE_GLACE),
    (Act.SEARCH, breaking_glass(), record(opposed=frozenset({Mode.BRIS_DE_GLACE})), Reason.DENIED_OPPOSED),
    (Act.SEARCH, breaking_glass(), record(opposed=frozenset({Mode.CENTRE_15})), Reason.ALLOWED_BRIS_DE_GLACE),
    (Act.SEARCH, breaking_glass(), record(blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (Act.SEARCH, actor(mode=Mode.BRIS_DE_GLACE), record("structure"), Reason.DENIED_NOT_DECLARED),
    (Act.SEARCH, regulating(), record(), Reason.ALLOWED_CENTRE_15),
    (Act.SEARCH, regulating(profession="60"), record(), Reason.DENIED_NOT_REGULATING),
    (Act.SEARCH, actor(mode=Mode.CENTRE_15), record("structure"), Reason.DENIED_NOT_REGULATING),
    (Act.SEARCH, regulating(), record(opposed=frozenset({Mode.CENTRE_15})), Reason.DENIED_OPPOSED),
    (Act.SEARCH, regulating(), record(opposed=frozenset({Mode.BRIS_DE_GLACE})), Reason.ALLOWED_CENTRE_15),
    (Act.SEARCH, regulating(), record("structure", blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (Act.SEARCH, actor(ActorKind.PATIENT), record(), Reason.ALLOWED_HOLDER),
    (Act.SEARCH, actor(ActorKind.REPRESENTATIVE), record(birth_date=MINOR), Reason.ALLOWED_REPRESENTATIVE),
    (Act.SEARCH, actor(ActorKind.REPRESENTATIVE), record(), Reason.DENIED_MAJORITY),
    (Act.SEARCH, actor(ActorKind.REPRESENTATIVE), record(birth_date=None), Reason.DENIED_MAJORITY),
    (Act.OPEN_RECORD, actor(ActorKind.PATIENT), record(status=RecordStatus.CLOSED), Reason.DENIED_CLOSED),
    (Act.OPEN_RECORD, actor(ActorKind.INSURER), record(status=RecordStatus.SUSPENDED), Reason.DENIED_CLOSED),
    (Act.OPEN_RECORD, actor(ActorKind.INSURER), record(status=RecordStatus.ABSENT), Reason.ALLOWED_INSURER),
    (Act.OPEN_RECORD, actor(ActorKind.PATIENT), record(status=RecordStatus.ABSENT), Reason.ALLOWED_HOLDER),
    (Act.CLOSE_RECORD, actor(ActorKind.PATIENT), record(status=RecordStatus.CLOSED), Reason.ALLOWED_HOLDER),
    (Act.REOPEN_RECORD, actor(ActorKind.PATIENT), record(status=RecordStatus.SUSPENDED), Reason.DENIED_STATE),
    (Act.SUSPEND_RECORD, actor(ActorKind.INSURER), record(status=RecordStatus.CLOSED), Reason.DENIED_STATE),
    (Act.OBJECT_TO_SUSPENSION, actor(ActorKind.PATIENT), record(status=RecordStatus.CLOSED), Reason.DENIED_STATE),
    (Act.CLOSE_RECORD, actor(ActorKind.PATIENT), record(status=RecordStatus.ABSENT), Reason.DENIED_NO_RECORD),
    (Act.REOPEN_RECORD, actor(ActorKind.PATIENT), record(), Reason.ALLOWED_HOLDER),
    (Act.REQUEST_DELETION, actor(ActorKind.PATIENT), record(), Reason.DENIED_STATE),
    (Act.SUSPEND_RECORD, actor(ActorKind.INSURER), record(), Reason.ALLOWED_INSURER),
    (Act.OBJECT_TO_SUSPENSION, actor(ActorKind.PATIENT), record(), Reason.ALLOWED_HOLDER),
    (Act.GRANT, actor(ActorKind.PATIENT), record(status=RecordStatus.CLOSED), Reason.DENIED_CLOSED),
    (Act.GRANT, actor(ActorKind.PATIENT), record(status=RecordStatus.SUSPENDED), Reason.DENIED_SUSPENDED),
    (Act.READ_STATUS, actor(), record(blocked=frozenset({PHYSICIAN})), Reason.ALLOWED_STATUS),
    (Act.READ_CONSENTS, actor(), record(), Reason.ALLOWED_NAMED),
    (Act.READ_CONSENTS, actor(), record(status=RecordStatus.ABSENT), Reason.DENIED_NO_RECORD),
    (Act.READ_NOTICES, actor(), record("structure"), Reason.DENIED_NOT_NAMED),
    (Act.READ_NOTICES, actor(), record("medecin_traitant"), Reason.ALLOWED_MEDECIN_TRAITANT),
    (Act.READ_NOTICES, actor(), record("medecin_traitant", status=RecordStatus.CLOSED), Reason.DENIED_CLOSED),
    (Act.READ_NOTICES, actor(), record("medecin_traitant", status=RecordStatus.DECEASED), Reason.DENIED_CLOSED),
    (Act.READ_NOTICES, actor(), record("medecin_traitant", status=RecordStatus.SUSPENDED), Reason.DENIED_SUSPENDED),
    (Act.READ_NOTICES, actor(), record("medecin_traitant", blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (
        Act.READ_NOTICES,
        actor(sectors=frozenset({"SA23"})),
        record("medecin_traitant"),
        Reason.DENIED_INSURANCE,
    ),
    (Act.READ_NOTICES, actor(), record(status=RecordStatus.ABSENT), Reason.DENIED_NO_RECORD),
    (
        Act.READ_NOTICES,
        actor(ActorKind.PATIENT),
        record(status=RecordStatus.CLOSED),
        Reason.ALLOWED_HOLDER,
    ),
    (Act.COLLECT_CONSENT, actor(), record(), Reason.ALLOWED_COLLECTING),
    (Act.COLLECT_CONSENT, breaking_glass(), record(), Reason.DENIED_MODE),
    (Act.COLLECT_CONSENT, actor(secret=True), record(birth_date=MINOR), Reason.DENIED_MODE),
    (Act.COLLECT_CONSENT, actor(), record(blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (Act.COLLECT_CONSENT, actor(sectors=frozenset({"SA66"})), record(), Reason.DENIED_NO_EXPRESS_CONSENT),
    (Act.ACCEPT_MEDECIN_TRAITANT, actor(), record(named=frozenset({PHYSICIAN})), Reason.ALLOWED_NAMED),
    (
        Act.ACCEPT_MEDECIN_TRAITANT,
        actor(),
        record(medecin_traitant=PHYSICIAN, named=frozenset({PHYSICIAN})),
        Reason.ALLOWED_NAMED,
    ),
    (Act.ACCEPT_MEDECIN_TRAITANT, actor(), record(named=frozenset({COLLEAGUE})), Reason.DENIED_NOT_NAMED),
    (Act.ACCEPT_MEDECIN_TRAITANT, actor(), record(), Reason.DENIED_NOT_NAMED),
    (
        Act.ACCEPT_MEDECIN_TRAITANT,
        actor(profession="60"),
        record(named=frozenset({PHYSICIAN})),
        Reason.DENIED_PROFESSION,
    ),
    (Act.ACCEPT_MEDECIN_TRAITANT, breaking_glass(), record(named=frozenset({PHYSICIAN})), Reason.DENIED_MODE),
    (
        Act.ACCEPT_MEDECIN_TRAITANT,
        actor(secret=True),
        record(named=frozenset({PHYSICIAN}), birth_date=MINOR),
        Reason.DENIED_MODE,
    ),
    (
        Act.ACCEPT_MEDECIN_TRAITANT,
        actor(),
        record(named=frozenset({PHYSICIAN}), blocked=frozenset({PHYSICIAN})),
        Reason.DENIED_BLOCKED,
    ),
    (Act.FIND_IDENTIFIER, actor(), record(), Reason.ALLOWED_AUTHOR),
    (Act.FIND_IDENTIFIER, actor(), record(blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (Act.DELETE, actor(), record(blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (Act.DELETE, actor(), record(), Reason.ALLOWED_AUTHOR),
    (Act.DELETE, breaking_glass(), record(), Reason.DENIED_MODE),
    (Act.MASK, regulating(), record(), Reason.DENIED_MODE),
    (Act.MASK, actor(), record(), Reason.DENIED_NO_GRANT),
    (Act.PUBLISH, regulating(), record(), Reason.DENIED_MODE),
    (Act.PUBLISH, breaking_glass(), record(opposed=frozenset({Mode.BRIS_DE_GLACE})), Reason.DENIED_OPPOSED),
    (Act.PUBLISH, actor(mode=Mode.BRIS_DE_GLACE), record(), Reason.DENIED_NOT_DECLARED),
    (Act.PUBLISH, actor(), record(blocked=frozenset({PHYSICIAN})), Reason.DENIED_BLOCKED),
    (Act.PUBLISH, actor(sectors=frozenset({"SA66"})), record("structure"), Reason.DENIED_NO_EXPRESS_CONSENT),
    (Act.PUBLISH, actor(sectors=frozenset({"SA23"})), record("structure"), Reason.DENIED_INSURANCE),
    (Act.PUBLISH, actor(), record(), Reason.DENIED_NOT_AUTHOR),
    (Act.READ_REVIEW_QUEUE, actor(ActorKind.SOFTWARE, record_id=None), record(), Reason.ALLOWED_STRUCTURE),
    (Act.COUNT_REVIEWS, actor(ActorKind.OPERATIONS, record_id=None), record(), Reason.ALLOWED_FIGURES),
    (Act.REVIEW, actor(ActorKind.SOFTWARE, structures=()), record(), Reason.DENIED_NOT_NAMED),
    (Act.EXTRACT_TRACES, actor(ActorKind.SOFTWARE, record_id=None), record(), Reason.ALLOWED_STRUCTURE),
    (Act.EXTRACT_TRACES, actor(ActorKind.SOFTWARE), record(), Reason.DENIED_OTHER_RECORD),
    (
        Act.EXTRACT_TRACES,
        actor(ActorKind.SOFTWARE, record_id=None, structures=()),
        record(),
        Reason.DENIED_OTHER_STRUCTURE,
    ),
    (Act.EXTRACT_TRACES, actor(ActorKind.INSURER, record_id=None), record(), Reason.DENIED_ACTOR),
    (Act.EXTRACT_TRACES, actor(ActorKind.PROFESSIONAL), record("medecin_traitant"), Reason.DENIED_ACTOR),
    (Act.EXTRACT_TRACES, actor(ActorKind.OPERATIONS, record_id=None), record(), Reason.DENIED_ACTOR),
    (
        Act.EXTRACT_TRACES,
        actor(ActorKind.SOFTWARE, record_id=None, scopes=frozenset({"system/DocumentReference.crus"})),
        record(),
        Reason.DENIED_SCOPE,
    ),
]


@pytest.mark.parametrize(("act", "who", "facts", "reason"), RECORDS)
def test_a_record_is_entered_or_not_for_the_right_reason(
    act: Act, who: Actor, facts: RecordFacts, reason: Reason
) -> None:
    found = verdict(act, who, facts)
    assert found.reason is reason
    assert found.allowed is reason.value.startswith("allowed.")


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [((HOSPITAL,), True), ((), False), ((LABORATORY,), False), ((HOSPITAL, LABORATORY), False)],
)
def test_a_structures_officer_asks_for_its_own_and_for_nothing_beside(
    asked: tuple[Identifier, ...], allowed: bool
) -> None:
    verdict = of_own_structure(actor(ActorKind.SOFTWARE, record_id=None), asked)
    expected = Reason.ALLOWED_STRUCTURE if allowed else Reason.DENIED_OTHER_STRUCTURE
    assert (verdict.allowed, verdict.reason) == (allowed, expected)


OWN = frozenset({HOSPITAL})
PERSONALLY = frozenset({PHYSICIAN})
DIRECTIVES = {"type_code": "EXPPAT_3", "author_structures": frozenset(), "holders_own": True}
SOFTWARE, INSURER, PATIENT = ActorKind.SOFTWARE, ActorKind.INSURER, ActorKind.PATIENT
AWAITING = "INVISIBLE_PATIENT"
KEPT = "INVISIBLE_REPRESENTANTS_LEGAUX"

DOCUMENTS: list[tuple[Act, Actor, RecordFacts, DocumentFacts, Reason]] = [
    (Act.READ_ENTRY, actor(), record("structure"), document(), Reason.ALLOWED_GRANT),
    (Act.READ_ENTRY, actor(), record("structure"), document(author_structures=OWN), Reason.ALLOWED_AUTHOR),
    (Act.READ_ENTRY, actor(), record("structure"), document(author_professionals=PERSONALLY), Reason.ALLOWED_AUTHOR),
    (Act.READ_ENTRY, actor(), record("structure"), document(status="superseded"), Reason.ALLOWED_GRANT),
    (Act.READ_ENTRY, actor(), record("structure"), document(status="entered-in-error"), Reason.DENIED_DELETED),
    (Act.READ_ENTRY, actor(), record("structure"), document("MASQUE_PS"), Reason.DENIED_MASKED),
    (Act.READ_ENTRY, actor(), record("medecin_traitant"), document("MASQUE_PS"), Reason.ALLOWED_MEDECIN_TRAITANT),
    (Act.READ_ENTRY, actor(), record("delegation"), document("MASQUE_PS"), Reason.ALLOWED_DELEGATION),
    (Act.READ_ENTRY, breaking_glass(), record(), document("MASQUE_PS"), Reason.DENIED_MASKED),
    (Act.READ_ENTRY, breaking_glass(), record(), document("MASQUE_PS", author_structures=OWN), Reason.DENIED_MASKED),
    (Act.READ_ENTRY, regulating(), record(), document("MASQUE_PS"), Reason.DENIED_MASKED),
    (Act.READ_ENTRY, regulating(), record(), document(), Reason.ALLOWED_CENTRE_15),
    (Act.READ_ENTRY, actor(), record("structure"), document(type_code=TYPES["deny"]), Reason.DENIED_MATRIX),
    (Act.READ_ENTRY, actor(), record("structure"), document(type_code="34112-3"), Reason.DENIED_MATRIX_UNKNOWN),
    (
        Act.READ_ENTRY,
        actor(),
        record("medecin_traitant"),
        document(type_code="34112-3", author_structures=OWN),
        Reason.DENIED_MATRIX_UNKNOWN,
    ),
    (Act.READ_ENTRY, actor(profession="60"), record("structure"), document(), Reason.DENIED_MATRIX_UNKNOWN),
    (Act.READ_ENTRY, actor(profession=None), record("structure"), document(), Reason.DENIED_MATRIX_UNKNOWN),
    (Act.READ_ENTRY, actor(profession="60"), record("structure"), document(type_code="15507-7"), Reason.ALLOWED_GRANT),
    (
        Act.READ_ENTRY,
        actor(profession="60", role="330"),
        record("structure"),
        document(type_code="15507-7"),
        Reason.DENIED_MATRIX,
    ),
    (
        Act.READ_ENTRY,
        actor(profession="60", role="353"),
        record("structure"),
        document(type_code="15507-7"),
        Reason.ALLOWED_GRANT,
    ),
    (Act.READ_ENTRY, actor(PATIENT), record(), document(status="entered-in-error"), Reason.DENIED_DELETED),
    (Act.READ_ENTRY, actor(PATIENT), record(), document(AWAITING), Reason.DENIED_INVISIBLE),
    (Act.READ_TRACES, actor(PATIENT), record(), document(AWAITING), Reason.DENIED_INVISIBLE),
    (Act.READ_TRACES, actor(PATIENT), record(), document(status="entered-in-error"), Reason.ALLOWED_HOLDER),
    (
        Act.READ_ENTRY,
        actor(ActorKind.REPRESENTATIVE),
        record(birth_date=MINOR),
        document(KEPT),
        Reason.DENIED_REPRESENTATIVES,
    ),
    (Act.READ_ENTRY, actor(PATIENT), record(birth_date=MINOR), document(KEPT), Reason.ALLOWED_HOLDER),
    (Act.PUBLISH, actor(SOFTWARE), record(), document(), Reason.DENIED_NOT_AUTHOR),
    (
        Act.PUBLISH,
        actor(SOFTWARE),
        record(),
        document(type_code="REMB", author_structures=OWN),
        Reason.DENIED_INSURER_TYPE,
    ),
    (Act.PUBLISH, actor(INSURER), record(), document(author_structures=OWN), Reason.DENIED_INSURER_TYPE),
    (Act.PUBLISH, actor(INSURER), record(), document(type_code="REMB", author_structures=OWN), Reason.ALLOWED_FEEDING),
    (Act.PUBLISH, actor(), record(), document(author_professionals=PERSONALLY), Reason.ALLOWED_FEEDING),
    (Act.PUBLISH, breaking_glass(), record(), document(author_structures=OWN), Reason.ALLOWED_FEEDING),
    (
        Act.PUBLISH,
        actor(specialties=frozenset({"SM25"})),
        record("express"),
        document(author_structures=OWN),
        Reason.ALLOWED_FEEDING,
    ),
    (
        Act.REPLACE,
        actor(SOFTWARE),
        record(),
        document(author_structures=OWN, status="entered-in-error"),
        Reason.DENIED_DELETED,
    ),
    (Act.REPLACE, actor(SOFTWARE), record(), document("MASQUE_PS", author_structures=OWN), Reason.ALLOWED_FEEDING),
    (Act.PUBLISH, actor(PATIENT), record(), document(**DIRECTIVES), Reason.ALLOWED_FEEDING),
    (Act.PUBLISH, actor(PATIENT), record(), document("MASQUE_PS", **DIRECTIVES), Reason.ALLOWED_FEEDING),
    (Act.PUBLISH, actor(PATIENT), record(), document(AWAITING, **DIRECTIVES), Reason.DENIED_LABEL),
    (Act.PUBLISH, actor(PATIENT), record(birth_date=MINOR), document(KEPT, **DIRECTIVES), Reason.DENIED_LABEL),
    (
        Act.PUBLISH,
        actor(PATIENT),
        record(),
        document(**DIRECTIVES | {"type_code": "34112-3"}),
        Reason.DENIED_PATIENT_TYPE,
    ),
    (
        Act.PUBLISH,
        actor(PATIENT),
        record(),
        document(**DIRECTIVES | {"author_structures": OWN}),
        Reason.DENIED_NOT_AUTHOR,
    ),
    (
        Act.PUBLISH,
        actor(PATIENT),
        record(),
        document(**DIRECTIVES | {"author_professionals": PERSONALLY}),
        Reason.DENIED_NOT_AUTHOR,
    ),
    (Act.PUBLISH, actor(PATIENT), record(), document(type_code="EXPPAT_3"), Reason.DENIED_NOT_AUTHOR),
    (Act.REPLACE, actor(PATIENT), record(), document(**DIRECTIVES), Reason.ALLOWED_FEEDING),
    (Act.REPLACE, actor(PATIENT), record(), document(AWAITING, **DIRECTIVES), Reason.DENIED_NOT_AUTHOR),
    (Act.REPLACE, actor(PATIENT), record(), document(status="entered-in-error", **DIRECTIVES), Reason.DENIED_DELETED),
    (Act.DELETE, actor(PATIENT), record(), document(**DIRECTIVES), Reason.ALLOWED_HOLDER),
    (Act.DELETE, actor(PATIENT), record(), document(), Reason.DENIED_NOT_AUTHOR),
    (Act.DELETE, actor(PATIENT), record(), document(AWAITING), Reason.DENIED_INVISIBLE),
    (Act.DELETE, actor(PATIENT), record(), document(status="entered-in-error", **DIRECTIVES), Reason.ALLOWED_HOLDER),
    (Act.DELETE, actor(PATIENT), record(), document(status="entered-in-error"), Reason.DENIED_DELETED),
    (Act.MASK, actor(PATIENT), record(), document(status="entered-in-error", **DIRECTIVES), Reason.DENIED_DELETED),
    (Act.DELETE, actor(), record(), document(status="entered-in-error"), Reason.DENIED_NOT_AUTHOR),
    (
        Act.DELETE,
        actor(),
        record(),
        document(status="entered-in-error", author_structures=OWN),
        Reason.ALLOWED_AUTHOR,
    ),
    (
        Act.ARCHIVE,
        actor(SOFTWARE),
        record(),
        document(status="entered-in-error", author_structures=OWN),
        Reason.DENIED_DELETED,
    ),
    (Act.DELETE, actor(), record(), document(author_structures=OWN), Reason.ALLOWED_AUTHOR),
    (Act.DELETE, actor(), record("medecin_traitant"), document(), Reason.DENIED_NOT_AUTHOR),
    (Act.DELETE, actor(SOFTWARE), record(), document(author_structures=OWN), Reason.ALLOWED_AUTHOR),
    (Act.MASK, actor(PATIENT), record(), document(), Reason.ALLOWED_HOLDER),
    (Act.MASK, actor(PATIENT), record(), document(AWAITING), Reason.DENIED_INVISIBLE),
    (Act.MASK, actor(), record("structure"), document(), Reason.ALLOWED_GRANT),
    (Act.MASK, actor(), record("structure"), document(AWAITING), Reason.DENIED_LABELS_TOGETHER),
    (Act.MASK, actor(SOFTWARE), record(), document(author_structures=OWN), Reason.ALLOWED_AUTHOR),
    (Act.MASK, actor(SOFTWARE), record(), document(), Reason.DENIED_NOT_AUTHOR),
    (Act.UNMASK, actor(), record("structure"), document("MASQUE_PS"), Reason.DENIED_MASKED),
    (Act.UNMASK, actor(), record("structure"), document("MASQUE_PS", author_structures=OWN), Reason.ALLOWED_AUTHOR),
    (Act.UNMASK, actor(SOFTWARE), record(), document("MASQUE_PS", author_structures=OWN), Reason.DENIED_ACTOR),
    (Act.UNMASK, actor(), record("medecin_traitant"), document("MASQUE_PS"), Reason.DENIED_NOT_AUTHOR),
    (Act.UNMASK, actor(), record("delegation"), document("MASQUE_PS"), Reason.DENIED_NOT_AUTHOR),
    (Act.SHOW_TO_PATIENT, actor(), record("structure"), document(AWAITING), Reason.ALLOWED_GRANT),
    (Act.SHOW_TO_PATIENT, actor(PATIENT), record(), document(AWAITING), Reason.DENIED_ACTOR),
    (Act.SHOW_TO_REPRESENTATIVES, actor(), record("structure", birth_date=MINOR), document(KEPT), Reason.ALLOWED_GRANT),
    (Act.SHOW_TO_REPRESENTATIVES, actor(PATIENT), record(birth_date=MINOR), document(KEPT), Reason.DENIED_ACTOR),
    (Act.HIDE_AFTERWARDS, actor(), record("structure"), document(), Reason.DENIED_REHIDING),
    (Act.HIDE_AFTERWARDS, actor(), record("structure"), document("MASQUE_PS"), Reason.DENIED_MASKED),
    (Act.HIDE_AFTERWARDS, actor(PATIENT), record(), document(), Reason.DENIED_REHIDING),
    (Act.HIDE_AFTERWARDS, actor(SOFTWARE), record(), document(author_structures=OWN), Reason.DENIED_REHIDING),
    (Act.ARCHIVE, actor(), record("structure"), document(), Reason.ALLOWED_GRANT),
    (Act.ARCHIVE, actor(PATIENT), record(), document(), Reason.DENIED_ACTOR),
    (
        Act.FIND_IDENTIFIER,
        actor(SOFTWARE),
        record(),
        document(author_structures=OWN, status="entered-in-error"),
        Reason.DENIED_DELETED,
    ),
]


@pytest.mark.parametrize(("act", "who", "facts", "about", "reason"), DOCUMENTS)
def test_a_document_is_seen_or_not_for_the_right_reason(
    act: Act, who: Actor, facts: RecordFacts, about: DocumentFacts, reason: Reason
) -> None:
    found = verdict(act, who, facts, about)
    assert found.reason is reason
    assert found.allowed is reason.value.startswith("allowed.")


def test_a_denied_record_denies_every_document_for_the_same_reason() -> None:
    for act, kind in itertools.product(Act, ActorKind):
        decision = Decision(act, actor(kind), record(status=RecordStatus.CLOSED, birth_date=MAJOR), RULES, NOW)
        if not decision.on(None).allowed:
            assert decision.on(document()) == decision.on(None)


def test_the_patients_own_types_are_those_of_the_text() -> None:
    """Class 90, what patients deposit into other classes, and emergency contacts."""
    assert {"EXPPAT_1", "EXPPAT_2", "EXPPAT_3", "74465-6", "DOCPAT01", "DOCPAT10", "FICHE-CONTACTS"} <= PATIENT_TYPES
    assert len(PATIENT_TYPES) == 16


@pytest.mark.parametrize("who", [actor(), breaking_glass(), regulating()])
def test_a_professional_is_warned_of_what_the_patient_cannot_see_yet(who: Actor) -> None:
    facts = record("structure")
    assert verdict(Act.READ_ENTRY, who, facts, document(AWAITING)).caution is Caution.NOT_YET_TOLD
    assert verdict(Act.READ_ENTRY, who, facts, document()).caution is None
    announced = document(AWAITING, deposited=NOW - timedelta(days=40))
    assert verdict(Act.READ_ENTRY, who, facts, announced).caution is None
    assert verdict(Act.READ_ENTRY, who, record(status=RecordStatus.CLOSED), document(AWAITING)).caution is None


def test_nobody_else_is_warned() -> None:
    own = document(AWAITING, author_structures=OWN)
    assert verdict(Act.FIND_IDENTIFIER, actor(SOFTWARE), record(), own).caution is None
    assert verdict(Act.READ_ENTRY, actor(PATIENT), record(), own).caution is None


def test_a_professionals_verdict_on_documents_names_the_edition_of_the_matrix() -> None:
    for act in (Act.SEARCH, Act.READ_DOCUMENT, Act.MASK):
        assert verdict(act, actor(), record("structure"), document()).matrix == "edition-of-tests"
        assert verdict(act, actor(), record("structure")).matrix == "edition-of-tests"
    assert verdict(Act.READ_DOCUMENT, actor(PATIENT), record(), document()).matrix is None
    assert verdict(Act.PUBLISH, actor(), record(), document(author_structures=OWN)).matrix is None
    assert verdict(Act.DELETE, actor(), record(), document(author_structures=OWN)).matrix is None


def test_before_the_first_edition_every_cell_is_unknown() -> None:
    long_ago = YESTERDAY.replace(year=2020)
    grant = Grant(HOSPITAL, long_ago - timedelta(days=1))
    found = verdict(Act.READ_ENTRY, actor(), record(grant), document(), now=long_ago)
    assert (found.reason, found.matrix) == (Reason.DENIED_MATRIX_UNKNOWN, None)


def test_a_verdict_is_never_taken_for_a_boolean() -> None:
    with pytest.raises(TypeError, match="allowed"):
        bool(Verdict(False, Reason.DENIED_SCOPE))


def test_an_identifier_reads_as_a_search_takes_it() -> None:
    assert str(HOSPITAL) == f"{STRUCTURES}|1750000001"
    assert RECORD != OTHER


@pytest.mark.parametrize(
    "text",
    [
        "user/DocumentReference.rc",
        "user/DocumentReference.",
        "user/*",
        "admin/*.r",
        "user/DocumentReference.rs?x=1",
        "",
    ],
)
def test_what_is_no_scope_grants_nothing(text: str) -> None:
    assert not is_scope(text)
    assert not permits([text], "user", "DocumentReference", "r")


def test_a_requested_scope_must_lie_within_the_ceiling() -> None:
    ceiling = ["user/DocumentReference.rs", "user/Patient.s"]
    assert covered("user/DocumentReference.r", ceiling)
    assert not covered("user/DocumentReference.cr", ceiling)
    assert not covered("user/*.r", ceiling)
    assert not covered("system/DocumentReference.r", ceiling)
    assert covered("user/*.r", ["user/*.rs"])
