"""Clients in a process of their own: connections kept open, requests and their proofs made before the clock starts.

So little is left to do while it runs (`Load.client_cpu_ms` says how much): sending, and reading the answer to its end.
"""

from __future__ import annotations

import multiprocessing
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figures import percentile
from sceau.identity.client import Prover, SigningKey

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """What one client does: `requests` in turn, each a target and a body (None: a GET). All with one token."""

    origin: str
    authority: str
    access_token: str
    key: dict[str, Any]
    nonce: str
    requests: tuple[tuple[str, bytes | None], ...]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it. Latencies in milliseconds; `seconds` from the first request to the last answer."""

    acts: int
    seconds: float
    latencies: tuple[float, ...]
    client_cpu_ms: float

    @property
    def rate(self) -> float:
        """Acts per second."""
        return self.acts / self.seconds

    def latency(self, share: float) -> float:
        """The latency that `share` of the acts did not exceed."""
        return percentile(self.latencies, share)


class Clients:
    """Several clients, each a thread of one process. `run` may be called once, when all have connected."""

    def __init__(self, works: Sequence[Work]) -> None:
        context = multiprocessing.get_context("spawn")  # this process has threads: it can't be forked
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(tuple(works), theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def run(self) -> Load:
        """Let all begin at once; return what they measured. Raises RuntimeError when a request did not succeed."""
        self._pipe.send("go")
        load: Load = self._receive()
        self._process.join()
        return load

    def _receive(self) -> Any:
        try:
            told = self._pipe.recv()
        except EOFError:
            raise RuntimeError("the clients' process ended") from None
        if isinstance(told, str) and told != "ready":
            raise RuntimeError(told)
        return told


def _serve(works: tuple[Work, ...], pipe: Any) -> None:
    """The clients' process."""
    clients = [_Client(work) for work in works]
    pipe.send("ready")
    pipe.recv()
    threads = [threading.Thread(target=client.run) for client in clients]
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    failure = next((client.failure for client in clients if client.failure), None)
    latencies = tuple(latency for client in clients for latency in client.latencies)
    pipe.send(failure or Load(len(latencies), seconds, latencies, cpu * 1000 / max(1, len(latencies))))


class _Client:
    """One connection and its prepared requests."""

    def __init__(self, work: Work) -> None:
        prover = Prover(SigningKey.from_jwk(work.key), lambda: datetime.now(UTC))
        address = urlsplit(work.origin)
        context = ssl.create_default_context(cafile=work.authority)
        self._connection = HTTPSConnection(str(address.hostname), address.port, context=context, timeout=START_SECONDS)
        self._connection.connect()
        self._requests = []
        for target, body in work.requests:
            method = "GET" if body is None else "POST"
            proof = prover.proof(method, work.origin + target, nonce=work.nonce, access_token=work.access_token)
            headers = {**work.headers, "Authorization": f"DPoP {work.access_token}", "DPoP": proof}
            self._requests.append((method, target, body, headers))
        self.latencies: list[float] = []
        self.failure: str | None = None

    def run(self) -> None:
        """Send all, one after another."""
        for method, target, body, headers in self._requests:
            started = time.perf_counter()
            self._connection.request(method, target, body, headers)
            response = self._connection.getresponse()
            answer = response.read()
            self.latencies.append((time.perf_counter() - started) * 1000)
            if response.status != 200:
                self.failure = f"{method} {target} answered {response.status}: {answer[:300]!r}"
                return
