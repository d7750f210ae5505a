"""Our log before a witness that we didn't write: transparency-dev's omniwitness, a process on the loopback."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from fixtures.ports import free_port
from fixtures.service import ROOT
from fixtures.tools import program
from sceau.audit.log.asking import Reply
from sceau.audit.log.checkpoints import open_checkpoint
from sceau.audit.log.cosignatures import parse_witness_key
from sceau.audit.log.errors import NoReply
from sceau.audit.log.notes import ED25519, parse_note
from sceau.audit.log.places import CHECKPOINT, COSIGNED
from sceau.audit.log.policies import Policy, parse_policy
from sceau.audit.log.witnessing import Witnesses, WitnessReport
from unit.audit.log.log_stand import ORIGIN, RETENTION, LogStand

pytestmark = pytest.mark.slow

NAME = "witness.example.org"
_LOGS = "Logs:\n  - Origin: {origin}\n    URL: http://127.0.0.1:9/\n    PublicKey: {vkey}\n"
_STARTS_WITHIN = 60.0


@dataclass
class Omniwitness:
    """A running one, and its key."""

    port: int
    vkey: str
    http: urllib3.PoolManager

    def ask(self, url: str, body: bytes, media_type: str) -> Reply:
        """As `https_ask`, but to the loopback without TLS, which the program itself does not speak."""
        try:
            answer = self.http.request(
                "POST",
                f"http://127.0.0.1:{self.port}{urlsplit(url).path}",
                body=body,
                headers={"Content-Type": media_type},
            )
        except urllib3.exceptions.HTTPError:
            raise NoReply("no answer") from None
        return Reply(answer.status, str(answer.headers.get("Content-Type", "")).partition(";")[0].strip(), answer.data)

    @property
    def policy(self) -> Policy:
        return parse_policy(f"witness w {self.vkey} https://{NAME}\nquorum w\n".encode())


@pytest.fixture
def stand() -> LogStand:
    stand = LogStand.new()
    stand.clock.now = datetime.now(UTC)  # the witness's own clock is the machine's
    stand.append(5)
    stand.seal()
    return stand


@pytest.fixture
def witness(stand: LogStand, tmp_path: Path) -> Iterator[Omniwitness]:
    keys = program("generate_keys", ROOT)
    secret, public = tmp_path / "w.sec", tmp_path / "w.pub"
    made = [str(keys), f"-origin={NAME}", f"-out_priv={secret}", f"-out_pub={public}"]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    vkey = next(key.text() for key in stand.vkeys if key.kind == ED25519)
    (tmp_path / "logs.yaml").write_text(_LOGS.format(origin=ORIGIN, vkey=vkey))
    port = free_port()
    command = [
        str(program("omniwitness", ROOT)),
        "-logtostderr",
        f"-listen=127.0.0.1:{port}",
        "-metrics_listen=",
        f"-private_key_path={secret}",
        f"-db_file={tmp_path / 'w.db'}",
        f"-additional_logs={tmp_path / 'logs.yaml'}",
    ]
    with (tmp_path / "log.txt").open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
    http = urllib3.PoolManager(retries=False, timeout=10)
    try:
        _wait(running, http, port, tmp_path / "log.txt")
        yield Omniwitness(port, public.read_text().strip(), http)
    finally:
        running.terminate()
        running.wait(30)
        http.clear()


def _wait(running: subprocess.Popen[bytes], http: urllib3.PoolManager, port: int, output: Path) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    retry = urllib3.Retry(connect=20, backoff_factor=0.1)
    while time.monotonic() < until and running.poll() is None:
        try:
            http.request("GET", f"http://127.0.0.1:{port}/", retries=retry)
        except urllib3.exceptions.HTTPError:
            continue
        return
    pytest.fail(f"omniwitness did not start: {output.read_text()[-1000:]}")


def client(stand: LogStand, witness: Omniwitness) -> Witnesses:
    return Witnesses(stand.memory, witness.policy, witness.ask, clock=stand.clock, retention=RETENTION)


def now(stand: LogStand) -> None:
    stand.clock.now = datetime.now(UTC)


def grow(stand: LogStand, number: int) -> None:
    now(stand)
    stand.append(number, apart=timedelta(0))
    stand.seal()


def test_it_cosigns_our_log_as_it_grows_and_our_policy_counts_its_word(stand: LogStand, witness: Omniwitness) -> None:
    now(stand)
    asks = client(stand, witness)
    assert asks.run() == WitnessReport(asked=1, cosigned=1, quorum=True)
    for number in (1, 3, 260):
        grow(stand, number)
        assert asks.run() == WitnessReport(asked=1, cosigned=1, quorum=True)
        note = parse_note(stand.memory.read(COSIGNED).data)
        (when,) = witness.policy.require(note).values()
        assert abs(when - datetime.now(UTC).timestamp()) < 60
    checkpoint, _ = open_checkpoint(stand.memory.read(COSIGNED).data, stand.vkeys)
    assert checkpoint.size == 5 + 264
    assert parse_witness_key(witness.vkey).name == NAME


def test_another_process_of_ours_learns_from_it_where_it_is(stand: LogStand, witness: Omniwitness) -> None:
    now(stand)
    assert client(stand, witness).run()
    stand.memory.delete(COSIGNED)
    grow(stand, 7)
    assert client(stand, witness).run() == WitnessReport(asked=1, cosigned=1, quorum=True)


def test_a_fork_gets_nothing_from_it(stand: LogStand, witness: Omniwitness) -> None:
    """What it saw, it saw: a log that goes on otherwise, signed by the same keys, is told, and not cosigned."""
    now(stand)
    before = stand.copy()
    grow(stand, 3)
    assert client(stand, witness).run() == WitnessReport(asked=1, cosigned=1, quorum=True)
    grow(before, 4)
    report = client(before, witness).run()
    assert report is not None
    assert (report.cosigned, report.quorum) == (0, False)
    assert report.refused == 1 or report.unanswered == 1  # it answers 500 where the specification wants another status
    assert before.names(COSIGNED) == []
    assert b"\n" + NAME.encode() not in before.memory.read(CHECKPOINT).data


def test_a_log_that_went_back_is_told(stand: LogStand, witness: Omniwitness) -> None:
    now(stand)
    before = stand.copy()
    grow(stand, 3)
    assert client(stand, witness).run()
    now(before)
    report = client(before, witness).run()
    assert report is not None
    assert (report.ahead, report.alarms) == (1, {"witnesses_ahead": 1})
