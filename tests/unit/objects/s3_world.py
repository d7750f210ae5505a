"""A store on a scripted S3: for `test_s3_*.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fakes.s3_transport import Outcome, Reply, Script, Seconds, Sent
from sceau.objects.s3.calls import Calls
from sceau.objects.s3.client import Connection, make_client
from sceau.objects.s3.store import S3Store
from sceau_schemas.stores import S3StoreSpec

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
WRITE = bytes(range(16))
BUCKETS = {"": "dmp-records", "journal/events/": "dmp-events", "journal/log/": "dmp-log"}
DOSSIER = "records/aaaa/dossier"
DOCUMENT = "records/aaaa/documents/bbbb"
EVENT = "journal/events/2026-03-02/09/30/aaaa.e"
MARK = "replay/20260302T0930/cccc"
CREDENTIALS = "[default]\naws_access_key_id = AKIA-test\naws_secret_access_key = secret-of-the-test\n"


def spec(**changes: Any) -> S3StoreSpec:
    given = {
        "adapter": "s3",
        "endpoint": "https://s3.fr-par.scw.cloud",
        "region": "fr-par",
        "addressing": "virtual",
        "buckets": BUCKETS,
        "credentials_file": "credentials",
    }
    return S3StoreSpec.model_validate(given | changes)


@dataclass(slots=True)
class World:
    """`script` answers; `seconds` pass only where it says so."""

    store: S3Store
    calls: Calls
    client: Any
    script: Script
    seconds: Seconds

    @property
    def sent(self) -> list[Sent]:
        return self.script.sent

    def methods(self) -> list[str]:
        return [one.method for one in self.script.sent]


@cache
def _scripted(changes: str) -> tuple[Any, Script]:
    """A client for these settings, and what answers in place of the network."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "credentials").write_text(CREDENTIALS, "utf-8")
        client = make_client(Connection(spec(**json.loads(changes)), Path(folder), 4))
    return client, Script(client)


def make_world(*outcomes: Outcome, **changes: Any) -> World:
    """A store that gets these answers. `changes`: other settings."""
    client, script = _scripted(json.dumps(changes, sort_keys=True))
    script.begin(outcomes)
    seconds = Seconds()
    calls = Calls(client, random_fraction=lambda: 0.5, sleep=seconds.sleep, monotonic=seconds, clock=lambda: NOW)
    return World(S3Store(calls, BUCKETS, random_bytes=lambda _: WRITE), calls, client, script, seconds)


def written(etag: str = '"e1"') -> Reply:
    return Reply(headers={"etag": etag})


def found(data: bytes, etag: str = '"e1"', **headers: str) -> Reply:
    return Reply(body=data, headers={"etag": etag, **headers})


TAKEN = Reply(412, "PreconditionFailed")
CONFLICT = Reply(409, "ConditionalRequestConflict")
ABSENT = Reply(404, "NoSuchKey")
DENIED = Reply(403, "AccessDenied")
SLOW_DOWN = Reply(503, "SlowDown")
BROKEN = Reply(500, "InternalError")
