"""One-time values in parallel: of any number of requests with the same one, one gets through."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from fakes.objects import Call
from sceau.identity.errors import OAuthRefusal, Reason, ResourceRefusal
from sceau.objects.scoped import StoreOperation
from unit.identity import conftest
from unit.identity.identity_world import World

issuer_secrets, world = conftest.issuer_secrets, conftest.world

THREADS = 16


def at_once(world: World, prefix: str, ask: Callable[[int], object]) -> list[object]:
    """Run `ask` in 16 threads that all arrive at their next mark before any of them may write it."""
    together = Barrier(THREADS)

    def wait(call: Call) -> None:
        if call.operation is StoreOperation.CREATE and call.name.startswith(prefix):
            together.wait(120)

    def guarded(number: int) -> object:
        try:
            return ask(number)
        except (OAuthRefusal, ResourceRefusal) as refusal:
            return refusal.reason

    world.store.waits = wait
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(guarded, range(THREADS)))


def test_one_assertion_in_16_parallel_requests_gives_exactly_one_token(world: World) -> None:
    form = world.form()
    proofs = [world.proof() for _ in range(THREADS)]
    outcomes = at_once(world, "replay/", lambda number: world.issue(form, proofs[number]).event_id)
    assert outcomes.count(Reason.ASSERTION_REPLAYED) == THREADS - 1
    assert len(world.traces) == 1
    assert world.refusals == {Reason.ASSERTION_REPLAYED: THREADS - 1}


def test_one_proof_in_16_parallel_calls_gets_through_once(world: World) -> None:
    token = world.issue(world.form()).access_token
    proof = world.api_proof(token)
    outcomes = at_once(world, "replay/", lambda _: world.call(token, proof=proof))
    assert outcomes.count(Reason.PROOF_REPLAYED) == THREADS - 1


def test_one_subject_token_in_16_parallel_exchanges_gives_exactly_one_token(world: World) -> None:
    token = world.issuer.token_for("hospital_physician", "hospital-rp")
    forms = [world.exchange_form("hospital", token) for _ in range(THREADS)]
    proofs = [world.proof() for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:

        def ask(number: int) -> object:
            try:
                return world.issue(forms[number], proofs[number]).access_token
            except OAuthRefusal as refusal:
                return refusal.reason

        outcomes = list(pool.map(ask, range(THREADS)))
    assert outcomes.count(Reason.SUBJECT_REPLAYED) == THREADS - 1


def test_200_parallel_calls_with_different_tokens_never_see_each_others_identity(world: World) -> None:
    tokens = {
        "laboratory": world.issue(world.form()).access_token,
        "insurer": world.issue(world.form("insurer", scope="system/Consent.c")).access_token,
        "hospital": world.issue(world.professional_form()).access_token,
        "app": world.issue(world.patient_form()).access_token,
    }
    names = list(tokens) * 50
    proofs = [world.api_proof(tokens[name]) for name in names]
    with ThreadPoolExecutor(THREADS) as pool:
        actors = pool.map(lambda pair: world.call(tokens[pair[0]], proof=pair[1]), zip(names, proofs, strict=True))
        assert [actor.client_id for actor in actors] == names
