"""What must hold whatever the facts: nothing that narrows adds access, and no order of unrelated facts matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given, settings, strategies as st

from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    DocumentFacts,
    Grant,
    GrantKind,
    Identifier,
    Mode,
    RecordFacts,
    RecordStatus,
)
from unit.access.space import (
    COLLEAGUE,
    DECLARED,
    HOSPITAL,
    LABORATORY,
    MAJOR,
    MINOR,
    NOW,
    PHYSICIAN,
    RECORD,
    TYPES,
    actor,
    verdict,
)

moments = st.integers(-400, 400).map(lambda days: NOW + timedelta(days=days))
grants = st.builds(
    Grant,
    st.sampled_from([HOSPITAL, LABORATORY, PHYSICIAN, COLLEAGUE]),
    moments,
    st.none() | moments,
    st.sampled_from(list(GrantKind)),
)
persons = st.frozensets(st.sampled_from([PHYSICIAN, COLLEAGUE]))
records = st.builds(
    RecordFacts,
    st.just(RECORD),
    st.sampled_from(list(RecordStatus)),
    st.lists(grants, max_size=4).map(tuple),
    st.sampled_from([MINOR, MAJOR, None]),
    persons,
    st.frozensets(st.sampled_from([Mode.BRIS_DE_GLACE, Mode.CENTRE_15])),
    st.sampled_from([None, PHYSICIAN, COLLEAGUE]),
    persons,
)
documents = st.builds(
    DocumentFacts,
    st.sampled_from(["current", "superseded", "entered-in-error"]),
    st.frozensets(
        st.sampled_from(["N", "R", "MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"]), min_size=1
    ),
    st.sampled_from([*TYPES.values(), "REMB", "EXPPAT_3"]),
    st.frozensets(st.sampled_from([HOSPITAL, LABORATORY])),
    st.frozensets(st.sampled_from([PHYSICIAN, COLLEAGUE])),
    deposited=st.none() | moments,
    holders_own=st.booleans(),
)


@st.composite
def actors(draw: st.DrawFn) -> Actor:
    kind = draw(st.sampled_from(list(ActorKind)))
    if kind is not ActorKind.PROFESSIONAL:
        return actor(kind, secret=draw(st.booleans()))
    return actor(
        mode=draw(st.sampled_from(list(Mode))),
        declaration=draw(st.sampled_from([None, DECLARED])),
        regulates=draw(st.booleans()),
        profession=draw(st.sampled_from(["10", "60", "93"])),
        sectors=frozenset(draw(st.sets(st.sampled_from(["SA01", "SA24", "SA66", "SA68"]), max_size=1))),
        secret=draw(st.booleans()),
    )


acts = st.sampled_from(list(Act))
about = st.none() | documents


@given(acts, actors(), records, about)
def test_every_situation_has_an_answer(act: Act, who: Actor, facts: RecordFacts, one: DocumentFacts | None) -> None:
    found = verdict(act, who, facts, one)
    assert found.reason.value.startswith("allowed." if found.allowed else "denied.")
    assert found == verdict(act, who, facts, one)


@given(acts, actors(), records, about, persons)
def test_a_block_never_adds_access(
    act: Act, who: Actor, facts: RecordFacts, one: DocumentFacts | None, more: frozenset[Identifier]
) -> None:
    blocked = replace(facts, blocked=facts.blocked | more)
    assert verdict(act, who, facts, one).allowed or not verdict(act, who, blocked, one).allowed


@given(acts, actors(), records, about, st.integers(0, 3))
def test_withdrawing_a_grant_never_adds_access(
    act: Act, who: Actor, facts: RecordFacts, one: DocumentFacts | None, index: int
) -> None:
    assume(index < len(facts.grants))
    fewer = replace(facts, grants=facts.grants[:index] + facts.grants[index + 1 :])
    assert verdict(act, who, facts, one).allowed or not verdict(act, who, fewer, one).allowed


@given(acts, actors(), records, about, st.sampled_from([Mode.BRIS_DE_GLACE, Mode.CENTRE_15]))
def test_an_opposition_never_adds_access(
    act: Act, who: Actor, facts: RecordFacts, one: DocumentFacts | None, mode: Mode
) -> None:
    opposed = replace(facts, opposed=facts.opposed | {mode})
    assert verdict(act, who, facts, one).allowed or not verdict(act, who, opposed, one).allowed


@given(acts, actors(), records, documents)
def test_masking_never_adds_access(act: Act, who: Actor, facts: RecordFacts, one: DocumentFacts) -> None:
    """But for a deposit in a connexion secrète, which is refused any other label."""
    masked = replace(one, labels=one.labels | {"MASQUE_PS"})
    assert verdict(act, who, facts, one).allowed or not verdict(act, who, facts, masked).allowed


@given(actors(), records, documents)
def test_masking_takes_reading_from_all_but_holder_author_and_medecin_traitant(
    who: Actor, facts: RecordFacts, one: DocumentFacts
) -> None:
    masked = replace(one, labels=one.labels | {"MASQUE_PS"})
    found = verdict(Act.READ_DOCUMENT, who, facts, masked)
    if not found.allowed:
        return
    holder = who.kind in (ActorKind.PATIENT, ActorKind.REPRESENTATIVE)
    author = bool(one.author_structures & set(who.structures)) or who.professional in one.author_professionals
    delegate = any(g.kind is GrantKind.DELEGATION and g.grantee == who.professional for g in facts.grants)
    assert holder or author or delegate or facts.medecin_traitant == who.professional
    assert holder or who.mode is Mode.NORMAL


@given(acts, actors(), records, documents, st.sampled_from(["INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"]))
def test_hiding_never_adds_reading(act: Act, who: Actor, facts: RecordFacts, one: DocumentFacts, label: str) -> None:
    assume(act not in (Act.PUBLISH,))
    hidden = replace(one, labels=one.labels | {label})
    assert verdict(act, who, facts, one).allowed or not verdict(act, who, facts, hidden).allowed


@given(acts, actors(), records, about, st.randoms(use_true_random=False))
def test_the_order_of_grants_does_not_matter(
    act: Act,
    who: Actor,
    facts: RecordFacts,
    one: DocumentFacts | None,
    random: object,
) -> None:
    shuffled = list(facts.grants)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert verdict(act, who, facts, one) == verdict(act, who, replace(facts, grants=tuple(shuffled)), one)


@given(acts, actors(), records, about)
@settings(max_examples=200)
def test_fewer_scopes_never_add_access(act: Act, who: Actor, facts: RecordFacts, one: DocumentFacts | None) -> None:
    assert not verdict(act, replace(who, scopes=frozenset()), facts, one).allowed
