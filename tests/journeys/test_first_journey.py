"""The journey that `make journey` plays, on samples of our own and on the ANS's public documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.service import ROOT, LiveStage
from sceau.cli.documents import JourneyDocuments, journey_documents
from sceau.cli.journey import Journey, Step


def play(live: LiveStage, documents: JourneyDocuments) -> list[Step]:
    steps: list[Step] = []
    Journey(live.service, documents, live.restart, steps.append).play()
    return steps


@pytest.mark.xdist_group("live")
def test_the_journey_on_our_own_documents(live: LiveStage) -> None:
    steps = play(live, JourneyDocuments(None))
    assert {step.number for step in steps} == {"1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6", "7", "8", "9"}
    assert all(step.trace for step in steps)


@pytest.mark.xdist_group("live")
def test_the_journey_on_public_documents(live: LiveStage, shared: Path) -> None:
    documents = journey_documents(ROOT)
    assert documents.corpus == shared / "corpus" / "cda"
    steps = play(live, documents)
    assert [step.status for step in steps if step.number in ("6", "7")] == [403, 403]
