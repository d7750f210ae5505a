"""Every request for a token, and a revocation, with each call of store, key service and clock going wrong in turn; and
with a crash at each.

The processes are cold: what they read once, and keep, is among the calls. After each fault: the record is as it was, no
token exists without its trace, the answer was 503 or the true one, and the same request again, with fresh assertion and
proof, succeeds. The number of cases is printed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakes.keys import on_calls as on_key_calls
from fakes.objects import Call, Fault, on_calls
from fixtures.inprocess import Process, Response, Session, World
from sceau.identity.client import Emergency, TokenNotGiven
from unit.faults.test_every_act_with_every_fault import (
    BROKEN,
    PATIENT,
    Counted,
    Killed,
    asked_of,
    base,
    clock_readings,
    slow_at,
    wrong_at,
)
from unit.faults.whole import read_whole, state

HOUR, SLOW, VERY_SLOW = timedelta(hours=1), timedelta(seconds=40), timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Grant:
    """Who asks, and how. `again`: by the declaration that an earlier token came with. `revokes`: that token."""

    actor: str
    patient: str | None = "dominique"
    entering: Emergency | None = None
    secret: bool = False
    again: bool = False
    revokes: bool = False


GRANTS = {
    "software": Grant("laboratory"),
    "software for a patient": Grant("laboratory", patient=PATIENT),
    "patient": Grant("patient"),
    "representative": Grant("representative"),
    "professional": Grant("hospital-physician"),
    "professional in secret": Grant("hospital-physician", patient="dune", secret=True),
    "emergency": Grant("emergency-physician", entering=BROKEN),
    "emergency again": Grant("emergency-physician", entering=BROKEN, again=True),
    "revocation by software": Grant("laboratory", revokes=True),
    "revocation by an application": Grant("patient", revokes=True),
    "revocation in an emergency": Grant("emergency-physician", entering=BROKEN, revokes=True),
}
ROUTES = {"POST /oauth/token", "POST /oauth/revoke"}
"""What these requests are sent to."""


@functools.cache
def prepared(grant: Grant) -> tuple[World, Session | None]:
    """The state on which a request is tried, and the earlier token that it is about, if any."""
    world = base("full").copy()
    if not (grant.again or grant.revokes):
        return world, None
    return world, Process(world).session(grant.actor, patient=grant.patient, entering=grant.entering)


@dataclass(slots=True)
class Case:
    """One request on a copy of its state, by a process that has just started, with something armed against it.

    `answers`: to what was sent to the token endpoint, nonces asked for included. `given`: the token of the last one.
    """

    grant: Grant
    world: World
    process: Process
    earlier: Session | None
    answers: list[Response] = field(default_factory=list)
    given: Session | None = None

    @classmethod
    def of(cls, grant: Grant) -> Case:
        world, earlier = prepared(grant)
        copied = world.copy()
        return cls(grant, copied, Process(copied), earlier)

    def run(self) -> Response | None:
        """The answer; None when the process died."""
        self.answers, self.given = answers_of(self.process), None
        try:
            self.given = self.ask(self.process)
        except Killed:
            return None
        except TokenNotGiven as refusal:
            assert refusal.status == self.answers[-1].status
        return self.answers[-1]

    def ask(self, process: Process) -> Session | None:
        """Send the request with fresh proof, assertion and subject token. The token; None of a revocation."""
        grant, entering = self.grant, self.grant.entering
        if grant.revokes:
            self._earlier(process).revoke()
            return None
        if grant.again:
            assert entering is not None
            entering = Emergency(entering.mode, declaration=self._earlier(process).token.declaration)
        return process.session(grant.actor, patient=grant.patient, entering=entering, secret=grant.secret)

    def check(self, answer: Response | None, *, late: bool = False) -> None:
        """What must hold afterwards. `late`: time went wrong, so that the request may rightly be refused for it."""
        self.process.store.faults, self.process.keys.fails = (lambda _: None), (lambda _: False)
        self.process.store.waits = self.process.store.waits_after = lambda _: None
        self.process.keys.waits = lambda _: None
        before, now = read_whole(prepared(self.grant)[0]), read_whole(self.world)
        assert state(now.the_record()) == state(before.the_record())
        announced = [event for name, event in now.events.items() if name not in before.events and event.outcome == "0"]
        assert len(announced) <= 1
        revoked = list(self.world.memory.list("revoked/"))
        assert len(revoked) <= len(announced), "a revocation without its trace"
        if answer is not None:
            self._check_answer(answer, late=late)
            if answer.status == 200:
                assert [event.id for event in announced] == answer.events or (late and not answer.events)
                assert self.grant.revokes is (self.given is None)
        # As after a crash: another process, and the client asks again.
        again = Process(self.world)
        given = self.ask(again)
        for one in (given, None if late or self.given is None else self.given.moved_to(again)):
            assert one is None or works(one)
        if self.grant.revokes:
            assert not works(self._earlier(again)), "answered as revoked, and it is not"
            assert late or len(list(self.world.memory.list("revoked/"))) == 1
        assert given is None or given.token.event_id in read_whole(self.world).events
        for process in (self.process, again):
            assert (process.store.misuses, process.keys.misuses) == ([], [])

    def _check_answer(self, answer: Response, *, late: bool) -> None:
        body = json.loads(answer.data or b"{}")
        assert answer.status in ((200, 400, 401, 503) if late else (200, 503)), answer.data
        assert ("access_token" in body) is (answer.status == 200 and not self.grant.revokes)
        if answer.status == 503:
            assert body["error"] == "temporarily_unavailable"
            assert answer.headers.get("Retry-After")

    def _earlier(self, process: Process) -> Session:
        assert self.earlier is not None
        return self.earlier.moved_to(process)


def answers_of(process: Process) -> list[Response]:
    """What the process answers at its token endpoint from now on."""
    answers: list[Response] = []
    answer = process.request

    def request(method: str, url: str, *rest: Any, **named: Any) -> Response:
        assert f"{method} {urlsplit(url).path}" in ROUTES
        answers.append(answer(method, url, *rest, **named))
        return answers[-1]

    process.request = request  # type: ignore[method-assign]  # watched
    return answers


def works(session: Session) -> bool:
    """Whether requests with a token are taken as its bearer's, whatever they may ask for."""
    answer = session.request("GET", "/fhir/AuditEvent/nothing")
    assert answer.status in (401, 403, 404)
    return answer.status != 401


def well(grant: Grant) -> tuple[range, range]:
    """The request undisturbed: the numbers of its calls of store and key service."""
    case = Case.of(grant)
    stores, keys = len(case.process.store.calls), len(case.process.keys.calls)
    answer = case.run()
    assert answer is not None
    assert answer.status == 200, answer.data
    calls = (
        range(stores + 1, len(case.process.store.calls) + 1),
        range(keys + 1, len(case.process.keys.calls) + 1),
    )
    assert all(calls)
    case.check(answer)
    return calls


NAMES = sorted(GRANTS)


@pytest.mark.parametrize("name", NAMES)
def test_each_store_call_fails_in_turn(name: str, counted: Counted) -> None:
    calls, _ = well(GRANTS[name])
    for number in calls:
        for fault in Fault:
            case = Case.of(GRANTS[name])
            case.process.store.faults = on_calls(number, fault=fault)
            case.check(case.run())
    counted(len(calls) * len(Fault))


@pytest.mark.parametrize("name", NAMES)
def test_each_key_call_fails_in_turn(name: str, counted: Counted) -> None:
    _, calls = well(GRANTS[name])
    for number in calls:
        case = Case.of(GRANTS[name])
        case.process.keys.fails = on_key_calls(number)
        case.check(case.run())
    counted(len(calls))


@pytest.mark.parametrize("name", NAMES)
def test_the_process_dies_at_each_call(name: str, counted: Counted) -> None:
    """Before and after each of the store, and before each of the key service."""

    def killing(number: int) -> Callable[[Any], None]:
        def kill(call: Call) -> None:
            if call.number == number:
                raise Killed

        return kill

    stores, keys = well(GRANTS[name])
    armed = [("store", moment, number) for number in stores for moment in ("waits", "waits_after")]
    armed += [("keys", "waits", number) for number in keys]
    died = 0
    for where, moment, number in armed:
        case = Case.of(GRANTS[name])
        setattr(getattr(case.process, where), moment, killing(number))
        answer = case.run()
        died += answer is None
        case.check(answer)  # a call that found nothing has no "after": it answers
    assert died >= len(stores) + len(keys)
    counted(len(armed))


@pytest.mark.parametrize("by", [SLOW, VERY_SLOW], ids=["slow", "very slow"])
@pytest.mark.parametrize("name", NAMES)
def test_each_call_is_slow_in_turn(name: str, by: timedelta, counted: Counted) -> None:
    """The time that a call takes passes: of the store's, once it took effect."""
    stores, keys = well(GRANTS[name])
    for where, number in [*(("store", one) for one in stores), *(("keys", one) for one in keys)]:
        case = Case.of(GRANTS[name])
        wait = slow_at(number, case.world, by)
        if where == "store":
            case.process.store.waits_after = wait
        else:
            case.process.keys.waits = wait
        case.check(case.run(), late=by is VERY_SLOW)
    counted(len(stores) + len(keys))


@pytest.mark.parametrize("name", NAMES)
def test_each_reading_of_the_clock_is_wrong_in_turn(name: str, counted: Counted) -> None:
    """An hour back or forward, for one reading. A token of another hour serves nobody; one without a trace is worse."""
    readings = clock_readings(Case.of(GRANTS[name]))
    assert readings
    for number in range(1, readings + 1):
        for wrong in (-HOUR, HOUR):
            case = Case.of(GRANTS[name])
            case.process.clock = wrong_at(number, wrong, case.world.clock)
            answer = case.run()
            case.process.clock = case.world.clock
            case.check(answer, late=True)
    counted(2 * readings)


def test_both_routes_are_driven() -> None:
    """`ROUTES` is what `test_every_route_is_driven` leaves to this file."""
    sent: set[str] = set()
    for grant in GRANTS.values():
        case = Case.of(grant)
        asked = asked_of(case.process)
        case.run()
        sent |= set(asked)
    assert sent == ROUTES
