"""Every call of a token request failing in turn: no token without its trace, and the same request again succeeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.objects import Fault, on_calls
from sceau.audit.errors import JournalUnavailable
from sceau.identity.errors import OAuthRefusal, Reason
from sceau.identity.facts import TokenOutcome
from sceau.keys.ports import KeyName
from sceau.keys.scoped import KeyOperation
from sceau.objects.scoped import StoreOperation
from unit.identity.identity_world import INS, World

Ask = Callable[[World, str], dict[str, str]]

SOFTWARE: Ask = lambda world, _: world.form(patient=INS)  # noqa: E731 - a row of the table below
PROFESSIONAL: Ask = lambda world, token: world.exchange_form("hospital", token)  # noqa: E731
PATIENT: Ask = lambda world, token: world.patient_form(token)  # noqa: E731

KINDS = {"software": (SOFTWARE, 2), "professional": (PROFESSIONAL, 3), "patient": (PATIENT, 3)}


def subject_token(world: World, kind: str) -> str:
    match kind:
        case "professional":
            return world.issuer.token_for("hospital_physician", "hospital-rp")
        case "patient":
            return world.issuer.token_for("dominique", "app-rp")
    return ""


def warm(world: World) -> None:
    """Read the configuration and the keys once: they are kept for a minute, and counted apart."""
    world.issue(world.form())
    world.issue(world.professional_form())
    world.issue(world.patient_form())
    world.store.calls.clear()
    world.keys.calls.clear()
    world.traces.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_takes_its_marks_and_one_signature_and_no_other_call(world: World, kind: str) -> None:
    """The event is the fourth store call: `trace` writes it. The pseudonym key and configuration are read before."""
    ask, marks = KINDS[kind]
    warm(world)
    form, proof = ask(world, subject_token(world, kind)), world.proof()
    world.store.calls.clear()
    world.keys.calls.clear()
    world.issue(form, proof)
    assert [call.operation for call in world.store.calls] == [StoreOperation.CREATE] * marks
    assert all(call.name.startswith("replay/") for call in world.store.calls)
    assert [(call.operation, call.key) for call in world.keys.calls] == [(KeyOperation.SIGN, KeyName.TOKENS)]


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind, (_, n) in KINDS.items() for number in range(1, n + 1)]
)
def test_a_mark_that_fails(world: World, kind: str, number: int, fault: Fault) -> None:
    ask, _ = KINDS[kind]
    warm(world)
    token = subject_token(world, kind)
    form, proof = ask(world, token), world.proof()
    world.store.calls.clear()
    world.store.faults = on_calls(number, fault=fault)
    refusal = world.refused(form, proof)
    assert (refusal.status, refusal.reason) == (503, Reason.UNAVAILABLE)
    used_up = number == 3 and fault is Fault.FAILS_AFTER_WRITING
    if number == 3:
        # Announced, and known not to have happened: a second event says so.
        assert [traced.outcome for traced in world.traces] == [TokenOutcome.SUCCESS, TokenOutcome.FAILED]
    else:
        assert world.traces == []
    world.store.faults = lambda _: None
    if used_up:
        # The store did not say that it wrote the mark. Nobody has a token, and nobody gets one from this subject token.
        assert world.refused(ask(world, token)).reason is Reason.SUBJECT_REPLAYED
        token = subject_token(world, kind)
    assert world.issue(ask(world, token)).access_token
    assert world.traces[-1].outcome is TokenOutcome.SUCCESS


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_that_can_not_be_written(world: World, kind: str) -> None:
    ask, _ = KINDS[kind]
    warm(world)
    token, before = subject_token(world, kind), len(world.marks())
    world.trace_fails = JournalUnavailable("the journal is down")
    assert world.refused(ask(world, token)).status == 503
    assert world.keys.count(KeyOperation.SIGN) == 0
    assert len(world.marks()) == before + 2  # the subject token is not used up
    world.trace_fails = None
    assert world.issue(ask(world, token)).access_token
    assert len(world.traces) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_that_fails(world: World, kind: str) -> None:
    ask, _ = KINDS[kind]
    warm(world)
    token = subject_token(world, kind)
    world.keys.fails = lambda call: call.operation is KeyOperation.SIGN
    assert world.refused(ask(world, token)).status == 503
    assert [traced.outcome for traced in world.traces] == [TokenOutcome.SUCCESS, TokenOutcome.FAILED]
    world.keys.fails = lambda _: False
    assert world.issue(ask(world, token)).access_token


def test_a_refusal_that_can_not_be_traced_is_no_answer(world: World) -> None:
    world.trace_fails = JournalUnavailable("the journal is down")
    refusal = world.refused(world.form(scope="system/Patient.r"))
    assert (refusal.status, refusal.event_id) == (503, None)


def test_a_failure_after_which_not_even_the_failure_can_be_traced(world: World) -> None:
    warm(world)

    def fail_next_time(call: object) -> bool:
        world.trace_fails = JournalUnavailable("the journal is down")
        return True

    world.keys.fails = fail_next_time
    assert world.refused(world.form()).status == 503
    assert [traced.outcome for traced in world.traces] == [TokenOutcome.SUCCESS]


@pytest.mark.parametrize("fault", Fault)
def test_configuration_that_can_not_be_read(world: World, fault: Fault) -> None:
    form, proof = world.form(), world.proof()
    before = world.marks()
    world.store.calls.clear()
    world.store.faults = on_calls(1, fault=fault)
    assert world.refused(form, proof).status == 503
    assert world.marks() == before
    assert world.refusals == {Reason.UNAVAILABLE: 1}
    world.store.faults = lambda _: None
    assert world.issue(form, proof)  # nothing was used up, not even the proof


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("number", [1, 2])
def test_a_revocation_of_which_a_call_fails(world: World, number: int, fault: Fault) -> None:
    token = world.issue(world.form()).access_token
    form = world.form(token=token)
    world.store.calls.clear()
    world.store.faults = on_calls(number, fault=fault)
    with pytest.raises(OAuthRefusal) as refusal:
        world.revoke(form)
    assert refusal.value.status == 503
    world.store.faults = lambda _: None
    assert world.revoke(world.form(token=token))
    assert len(list(world.store.inner.list("revoked/"))) == 1


def test_a_revocation_that_can_not_be_traced_does_not_happen(world: World) -> None:
    token = world.issue(world.form()).access_token
    world.trace_fails = JournalUnavailable("the journal is down")
    with pytest.raises(OAuthRefusal) as refusal:
        world.revoke(world.form(token=token))
    assert refusal.value.status == 503
    assert list(world.store.inner.list("revoked/")) == []
