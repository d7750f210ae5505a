"""schemathesis against the running service, as each kind of caller: no 5xx, no hang, only what the description says.

`SCEAU_FUZZ_EXAMPLES` sets how many requests each operation gets (`make fuzz` raises it).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fixtures.service import LiveStage, live_stage
from sceau.cli.session import Session

schemathesis = pytest.importorskip("schemathesis", reason="requirements/fuzz.txt is not installed: make fuzz")
requests = pytest.importorskip("requests")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the tool's own warnings are not ours

EXAMPLES = int(os.environ.get("SCEAU_FUZZ_EXAMPLES", "12"))
SLOWEST_SECONDS = 20.0
ACTORS = ("laboratory", "insurer", "patient", "hospital-physician")


class DpopAuth(requests.auth.AuthBase):  # type: ignore[misc,name-defined]  # requests has no types here
    """Signs each request with the actor's key; gets a new nonce and a new token before the old ones end."""

    def __init__(self, live: LiveStage, actor: str) -> None:
        self._live = live
        self._actor = actor
        self._session = self._new()

    def _new(self) -> Session:
        session = self._live.session(self._actor)
        session.request("GET", "/fhir/Consent", headers={"Accept": "application/fhir+json"})  # learns the nonce
        self._until = time.monotonic() + 60
        return session

    def __call__(self, request: Any) -> Any:
        if time.monotonic() > self._until:
            self._session = self._new()
        request.headers.update(self._session.authorization(request.method, request.url))
        return request


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStage]:
    with live_stage(tmp_path_factory.mktemp("fuzz") / "stage") as stage:
        yield stage


@pytest.fixture(scope="module")
def description(live: LiveStage) -> dict[str, Any]:
    response = live.service.pool().request("GET", f"{live.service.origin}/openapi.json")
    assert response.status == 200
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize("actor", ACTORS)
def test_no_request_makes_the_service_fail(live: LiveStage, description: dict[str, Any], actor: str) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

    schema = schemathesis.openapi.from_dict(description)
    http = requests.Session()
    http.auth = DpopAuth(live, actor)
    authority = str(live.folder.authority)
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def attack(case: Any) -> None:
            nonlocal tried
            tried += 1
            started = time.monotonic()
            response = case.call(base_url=live.service.origin, session=http, timeout=SLOWEST_SECONDS, verify=authority)
            assert time.monotonic() - started < SLOWEST_SECONDS
            case.validate_response(
                response, checks=[not_a_server_error, status_code_conformance, content_type_conformance]
            )

        given(case=operation.as_strategy())(attack)()
    assert tried > len(ACTORS)
    assert "unexpected" not in Path(live.folder.path / "service.log").read_text("utf-8")
