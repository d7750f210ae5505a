"""The decision against a table written from the law's text and api.md, not from the code; and its properties."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from sceau.access.decide import decide, may_ask
from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    DocumentFacts,
    Grant,
    Identifier,
    Reason,
    RecordFacts,
    RecordStatus,
    Verdict,
)
from sceau.access.scopes import covered, is_scope, permits

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RECORD, OTHER = "a" * 26, "c" * 26
HOSPITAL = Identifier("urn:oid:1.2.250.1.71.4.2.2", "1750000001")
LABORATORY = Identifier("urn:oid:1.2.250.1.71.4.2.2", "1750000002")
PHYSICIAN = Identifier("urn:oid:1.2.250.1.71.4.2.1", "899700000001")

ALL_SCOPES = {
    ActorKind.SOFTWARE: "system/*.cruds",
    ActorKind.INSURER: "system/*.cruds",
    ActorKind.PROFESSIONAL: "user/*.cruds",
    ActorKind.PATIENT: "patient/*.cruds",
    ActorKind.OPERATIONS: "ops/*.cruds",
}


def actor(kind: ActorKind, *, record: str | None = RECORD, structure: Identifier = HOSPITAL, scope: str = "") -> Actor:
    professional = PHYSICIAN if kind is ActorKind.PROFESSIONAL else None
    structures = () if kind in (ActorKind.PATIENT, ActorKind.OPERATIONS) else (structure,)
    scopes = frozenset({scope or ALL_SCOPES[kind]})
    return Actor(kind, "client", "subject", "jti", scopes, record, structures, professional)


def record(status: RecordStatus = RecordStatus.OPEN, *grants: Grant) -> RecordFacts:
    return RecordFacts(RECORD, status, grants)


def document(
    *labels: str, status: str = "current", author: Identifier = LABORATORY, kind: str = "11502-2"
) -> DocumentFacts:
    return DocumentFacts(status, frozenset(labels or {"N"}), kind, frozenset({author}))


GRANT = Grant(HOSPITAL, NOW - timedelta(days=1))


def naive(
    act: Act, who: ActorKind, status: RecordStatus, granted: bool, doc: DocumentFacts | None, is_author: bool
) -> bool:
    """What the law and api.md say, as a person would tick it off. Deliberately not the code's shape."""
    if who is ActorKind.OPERATIONS:
        return False
    opened = status is RecordStatus.OPEN
    if act is Act.OPEN_RECORD:
        return who in (ActorKind.INSURER, ActorKind.PATIENT) and status is not RecordStatus.CLOSED
    if act in (Act.GRANT, Act.WITHDRAW):
        return who is ActorKind.PATIENT and opened
    if act in (Act.READ_TRACES, Act.READ_CONSENTS):
        return who is ActorKind.PATIENT
    if act is Act.READ_STATUS:
        return who in (ActorKind.PATIENT, ActorKind.PROFESSIONAL)
    if not opened:
        return False
    deleted = doc is not None and doc.status == "entered-in-error"
    if act in (Act.PUBLISH, Act.REPLACE):
        if who is ActorKind.PATIENT or doc is None or not is_author:
            return False
        insurers_type = doc.type_code == "REMB"
        return insurers_type == (who is ActorKind.INSURER) and not (act is Act.REPLACE and deleted)
    if act is Act.FIND_IDENTIFIER:
        return who is not ActorKind.PATIENT and (doc is None or (is_author and not deleted))
    # what remains is reading
    invisible = doc is not None and any(label.startswith("INVISIBLE_") for label in doc.labels)
    if who is ActorKind.PATIENT:
        return not deleted and not invisible
    if who is not ActorKind.PROFESSIONAL or not granted or deleted:
        return False
    hidden = doc is not None and (invisible or "MASQUE_PS" in doc.labels)
    return not hidden or is_author


def test_the_whole_space_of_facts_against_the_naive_table() -> None:
    label_sets = [("N",), ("R",), ("MASQUE_PS",), ("INVISIBLE_PATIENT",), ("INVISIBLE_REPRESENTANTS_LEGAUX",)]
    documents: list[DocumentFacts | None] = [None] + [
        document(*labels, status=status, author=author, kind=kind)
        for labels in label_sets
        for status in ("current", "superseded", "entered-in-error")
        for author in (HOSPITAL, LABORATORY)
        for kind in ("11502-2", "REMB")
    ]
    cases = 0
    for act, who, status, granted, doc in itertools.product(Act, ActorKind, RecordStatus, (True, False), documents):
        facts = record(status, *((GRANT,) if granted else ()))
        caller = actor(who)
        is_author = doc is not None and HOSPITAL in doc.author_structures and bool(caller.structures)
        verdict = decide(act, caller, facts, doc, NOW)
        expected = naive(act, who, status, granted, doc, is_author)
        assert verdict.allowed is expected, (act, who, status, granted, doc, verdict)
        assert verdict.reason.value.startswith("allowed." if expected else "denied.")
        cases += 1
    assert cases == len(Act) * len(ActorKind) * len(RecordStatus) * 2 * len(documents)


@pytest.mark.parametrize("kind", [ActorKind.PATIENT, ActorKind.PROFESSIONAL])
@pytest.mark.parametrize("named", [None, OTHER])
def test_a_token_of_another_record_or_of_none_reaches_nothing(kind: ActorKind, named: str | None) -> None:
    for act in Act:
        verdict = decide(act, actor(kind, record=named), record(RecordStatus.OPEN, GRANT), None, NOW)
        assert not verdict.allowed
        assert verdict.reason in (Reason.DENIED_OTHER_RECORD, Reason.DENIED_ACTOR)


def test_software_may_have_a_token_that_names_no_record() -> None:
    verdict = decide(Act.PUBLISH, actor(ActorKind.SOFTWARE, record=None), record(), document(author=HOSPITAL), NOW)
    assert verdict == Verdict(True, Reason.ALLOWED_FEEDING)


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        (Grant(HOSPITAL, NOW), True),
        (Grant(HOSPITAL, NOW + timedelta(milliseconds=1)), False),
        (Grant(HOSPITAL, NOW - timedelta(days=2), NOW), False),
        (Grant(HOSPITAL, NOW - timedelta(days=2), NOW + timedelta(milliseconds=1)), True),
        (Grant(LABORATORY, NOW - timedelta(days=2)), False),
        (Grant(Identifier("urn:oid:1.2.3", HOSPITAL.value), NOW), False),
    ],
)
def test_a_grant_counts_for_its_structure_and_its_time_only(grant: Grant, allowed: bool) -> None:
    verdict = decide(Act.SEARCH, actor(ActorKind.PROFESSIONAL), record(RecordStatus.OPEN, grant), None, NOW)
    assert verdict.allowed is allowed


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize("kind", list(ActorKind))
def test_a_scope_is_a_ceiling(act: Act, kind: ActorKind) -> None:
    """Without any scope, with another level's, or with another resource's, nothing is allowed."""
    for scope in (
        "openid",
        "ops/*.cruds" if kind is not ActorKind.OPERATIONS else "user/*.cruds",
        "system/Basic.cruds",
    ):
        verdict = decide(
            act, actor(kind, scope=scope), record(RecordStatus.OPEN, GRANT), document(author=HOSPITAL), NOW
        )
        assert verdict.reason in (Reason.DENIED_SCOPE, Reason.DENIED_ACTOR)


def test_what_may_ask_denies_decide_denies_for_the_same_reason() -> None:
    for act, kind in itertools.product(Act, ActorKind):
        early = may_ask(act, actor(kind, scope="user/Basic.r"))
        assert early == decide(act, actor(kind, scope="user/Basic.r"), record(), None, NOW)


grants = st.builds(
    Grant,
    st.sampled_from([HOSPITAL, LABORATORY]),
    st.integers(-10, 10).map(lambda days: NOW + timedelta(days=days)),
    st.none() | st.integers(-10, 10).map(lambda days: NOW + timedelta(days=days)),
)


@given(st.lists(grants), st.integers(0, 9), st.sampled_from(list(Act)))
def test_withdrawing_a_grant_never_adds_access(all_grants: list[Grant], index: int, act: Act) -> None:
    fewer = [grant for position, grant in enumerate(all_grants) if position != index]
    doc = document(author=LABORATORY)
    caller = actor(ActorKind.PROFESSIONAL)
    before = decide(act, caller, record(RecordStatus.OPEN, *all_grants), doc, NOW).allowed
    after = decide(act, caller, record(RecordStatus.OPEN, *fewer), doc, NOW).allowed
    assert before or not after


@given(
    st.frozensets(st.sampled_from(["N", "R", "V", "INVISIBLE_PATIENT"])),
    st.sampled_from(list(Act)),
    st.sampled_from(list(ActorKind)),
)
def test_masking_never_adds_access(labels: frozenset[str], act: Act, kind: ActorKind) -> None:
    facts = record(RecordStatus.OPEN, GRANT)
    plain = DocumentFacts("current", labels, "11502-2", frozenset({LABORATORY}))
    masked = DocumentFacts("current", labels | {"MASQUE_PS"}, "11502-2", frozenset({LABORATORY}))
    assert (
        decide(act, actor(kind), facts, plain, NOW).allowed or not decide(act, actor(kind), facts, masked, NOW).allowed
    )


def test_a_verdict_is_never_taken_for_a_boolean() -> None:
    with pytest.raises(TypeError):
        bool(Verdict(False, Reason.DENIED_SCOPE))


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
