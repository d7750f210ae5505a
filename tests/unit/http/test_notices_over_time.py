"""Notices and the review of emergencies as time goes on: the service in one process, on a clock that can be turned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fixtures.inprocess import Process, Session
from sceau.cli import bodies
from sceau.cli.documents import DOMINIQUE
from sceau.cli.samples import STRUCTURES
from sceau.http import notices as notices_module, reviews
from sceau.identity.client import Emergency, TokenNotGiven
from unit.http.published import bundle, good, laboratory_document, opened, search

Json = dict[str, Any]
BROKEN = Emergency("bris_de_glace", "Inconscient", unable_to_consent=True, immediate_risk=True)
WARD = "emergency-physician"


@pytest.fixture
def process() -> Process:
    """A record with one document, which the hospital may read."""
    made = opened()
    good(made.session("laboratory").request("POST", "/fhir", bundle(901, laboratory_document(1))))
    return made


def later(process: Process, **time: float) -> None:
    process.world.clock.advance(timedelta(**time))


def reads(process: Process, actor: str = "hospital-physician", entering: Emergency | None = None) -> Session:
    session = process.session(actor, entering=entering)
    good(search(session, "DocumentReference"))
    return session


def texts(process: Process, kind: str, query: str = "") -> list[str]:
    answer = good(process.session("patient").request("GET", f"/fhir/Communication?category={kind}{query}"))
    found = [one["resource"] for one in answer.json().get("entry", ()) if one["search"]["mode"] == "match"]
    return [one["payload"][0]["contentString"] for one in found]


def queue(session: Session, query: str = "") -> list[Json]:
    """The whole queue, over its pages."""
    items: list[Json] = []
    target: str | None = f"/fhir/Communication{query}"
    while target:
        answer = good(session.request("GET", target)).json()
        items += [one["resource"] for one in answer.get("entry", ())]
        target = next((link["url"] for link in answer.get("link", ()) if link["relation"] == "next"), None)
    return items


def figures(process: Process) -> Json:
    answer: Json = good(process.session("operations").request("GET", "/ops/emergency-reviews?date=ge2026-03-01")).json()
    return answer


# First accesses


def test_who_read_before_the_period_is_not_new_in_it(process: Process) -> None:
    reads(process)
    later(process, days=40)
    reads(process)
    assert texts(process, "first-access") == []
    # An earlier period tells of the first reading, whenever it is asked.
    (text,) = texts(process, "first-access", "&sent=ge2026-03-01&sent=lt2026-03-20")
    assert "pour la première fois le" in text


def test_who_read_longer_than_a_year_ago_is_told_of_again_and_the_text_says_so(process: Process) -> None:
    reads(process)
    later(process, days=400)
    grant = bodies.consent_grant(DOMINIQUE, STRUCTURES["hospital"])
    good(process.session("patient").request("POST", "/fhir/Consent", grant))
    reads(process)
    (text,) = texts(process, "first-access")
    assert "pour la première fois depuis au moins un an le" in text


def test_a_past_that_is_too_long_to_open_is_not_taken_for_known(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads(process)
    later(process, seconds=1)
    for _ in range(3):
        good(process.session("patient").request("GET", "/fhir/Consent"))
    later(process, days=40)
    reads(process)
    monkeypatch.setattr(notices_module, "MOST_OPENED", 2)
    (text,) = texts(process, "first-access")
    assert "depuis au moins un an" in text
    monkeypatch.setattr(notices_module, "MOST_OPENED", 200)
    assert texts(process, "first-access") == []


# Emergencies


def test_an_emergency_belongs_to_the_period_of_its_declaration(process: Process) -> None:
    """Declared before midnight, read after it."""
    later(process, hours=14, minutes=11)  # 23:41 on the day of the tests
    session = process.session(WARD, entering=BROKEN)
    later(process, minutes=40)
    again = Emergency("bris_de_glace", declaration=session.token.declaration)
    reads(process, WARD, again)
    day = f"{process.world.clock() - timedelta(hours=1):%Y-%m-%d}"
    assert len(texts(process, "emergency-access", f"&sent={day}")) == 1
    assert texts(process, "emergency-access", f"&sent=gt{day}") == []


def test_a_declaration_ends_and_a_new_one_is_another_emergency(process: Process) -> None:
    first = reads(process, WARD, BROKEN)
    later(process, minutes=61)
    with pytest.raises(TokenNotGiven, match="a new one is needed"):
        process.session(WARD, entering=Emergency("bris_de_glace", declaration=first.token.declaration))
    reads(process, WARD, BROKEN)
    assert len(texts(process, "emergency-access")) == 2


def test_a_token_of_an_emergency_serves_no_longer_than_the_declaration(process: Process) -> None:
    session = reads(process, WARD, BROKEN)
    later(process, minutes=58)
    last = process.session(WARD, entering=Emergency("bris_de_glace", declaration=session.token.declaration))
    assert last.token.seconds == 120
    later(process, minutes=1, seconds=59)
    good(search(last, "DocumentReference"))
    later(process, seconds=1)
    assert search(last, "DocumentReference").status == 401


# Reviews


@pytest.mark.parametrize("most", [1, 3, 7, 1000])
def test_a_queue_is_whole_over_its_pages_however_much_one_request_opens(
    process: Process, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = []
    for _ in range(3):
        session = reads(process, WARD, BROKEN)
        own.append(f"{session.token.record_id}.{session.token.event_id}")
        later(process, hours=30)
    reviewer = process.session("reviewer")
    good(reviewer.request("POST", f"/fhir/Communication/{own[1]}/$review"))
    monkeypatch.setattr(reviews, "MOST_OPENED", most)
    items = queue(reviewer)
    assert [one["id"] for one in items] == own
    assert [one["status"] for one in items] == ["in-progress", "completed", "in-progress"]


def test_a_page_of_the_queue_serves_its_own_client_only(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    reads(process, WARD, BROKEN)
    monkeypatch.setattr(reviews, "MOST_OPENED", 1)
    answer = good(process.session("reviewer").request("GET", "/fhir/Communication")).json()
    (link,) = (link["url"] for link in answer["link"])
    assert process.session("reviewer").request("GET", link + "&status=completed").status == 400
    elsewhere = link.replace("/fhir/Communication", "/ops/emergency-reviews")
    assert process.session("operations").request("GET", elsewhere).status == 400


def test_figures_tell_how_long_emergencies_wait(process: Process) -> None:
    assert figures(process)["declared"] == 0
    first = reads(process, WARD, BROKEN)
    later(process, days=8)
    second = reads(process, WARD, BROKEN)
    later(process, days=2)
    reads(process, "regulator", Emergency("centre_15"))
    later(process, seconds=10)
    told = figures(process)
    assert (told["declared"], told["reviewed"], told["waiting"]) == (3, 0, 3)
    assert told["waiting_by_age"] == {"under_1_day": 1, "under_7_days": 1, "older": 1}
    assert told["oldest_waiting_seconds"] == 10 * 86_400 + 10
    own_id = f"{first.token.record_id}.{first.token.event_id}"
    good(process.session("reviewer").request("POST", f"/fhir/Communication/{own_id}/$review"))
    told = figures(process)
    assert (told["reviewed"], told["waiting"]) == (1, 2)
    assert told["waiting_by_age"] == {"under_1_day": 1, "under_7_days": 1, "older": 0}
    assert str(second.token.event_id) not in str(told)


def test_a_damaged_event_hides_no_other(process: Process) -> None:
    lost, kept = reads(process, WARD, BROKEN), reads(process, WARD, BROKEN)
    _damage(process, str(lost.token.event_id))
    reviewer = process.session("reviewer")
    answer = good(reviewer.request("GET", "/fhir/Communication")).json()
    found = [one["resource"] for one in answer["entry"]]
    assert [one["id"] for one in found if one["resourceType"] == "Communication"] == [
        f"{kept.token.record_id}.{kept.token.event_id}"
    ]
    assert "integrity" in str([one for one in found if one["resourceType"] == "OperationOutcome"])
    assert figures(process)["damaged_events"] == 1
    # The notice of what was read stands; of its reason nothing can be said.
    told = texts(process, "emergency-access")
    assert len([one for one in told if "Motif déclaré" in one]) == 1


def _damage(process: Process, event_id: str) -> None:
    (name,) = (one for one in process.world.memory.list("journal/events/") if one.endswith(event_id))
    process.world.memory.spoil(name)


def without(process: Process, event_id: str) -> None:
    """As who breaks the store's locks leaves it."""
    names = [name for name in process.world.memory.list("journal/events/") if name.endswith(f".{event_id}")]
    for name in names:
        del process.world.memory._entries[name]
    assert len(names) == 1


def test_a_declaration_that_is_gone_is_told_and_hides_no_notice(process: Process) -> None:
    night = reads(process, WARD, BROKEN)
    declaration = night.token.event_id
    assert declaration is not None
    without(process, declaration)
    answer = good(process.session("patient").request("GET", "/fhir/Communication")).json()
    told = [one["resource"] for one in answer["entry"] if one["search"]["mode"] == "match"]
    (outcome,) = [one["resource"] for one in answer["entry"] if one["search"]["mode"] == "outcome"]
    assert any("bris de glace" in one["payload"][0]["contentString"] for one in told)
    assert [one["diagnostics"] for one in outcome["issue"]] == [f"event {declaration} was logged, and is gone"]
