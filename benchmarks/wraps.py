"""Wraps, unwraps and signatures per second of the key services that can be had here: key file, SoftHSM2, custody.

AWS KMS and Key Manager cost a round trip over the host's network for each; they were never run live, and are not here.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figures, table
from sceau.cli.softhsm import create_token
from sceau.envelope.contexts import document
from sceau.keys.custody import CustodyKeyService
from sceau.keys.errors import KeyServiceNotUsable
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import SIGNING_KEYS, KeyName, KeyService
from sceau.records.ids import encode_id
from sceau.stage import SettingsError

SECONDS = 1.5
THREADS = 16


def wraps(figures: Figures) -> None:
    """Each service for some seconds with one thread, and with as many as a server has."""
    rows: list[list[str | float]] = []
    with _services() as services:
        for name, keys in services.items():
            for threads in (1, THREADS):
                measured = {what: _rate(act, threads) for what, act in _acts(keys).items()}
                for what, rate in measured.items():
                    figures.add(f"keys.{name.replace(' ', '_')}.{threads}.{what}_per_s", rate)
                rows.append([name, threads, *measured.values()])
    print(table("Key services, operations per second", ("service", "threads", "wraps", "unwraps", "signatures"), rows))


@contextmanager
def _services() -> Iterator[dict[str, KeyService]]:
    with tempfile.TemporaryDirectory(prefix="sceau-wraps-") as name:
        folder = Path(name)
        create_key_file(folder / "keys.json", clock=lambda: datetime.now(UTC))
        services: dict[str, KeyService] = {"key file": LocalKeyService(folder / "keys.json")}
        try:
            for method in ("aes-gcm", "aes-cbc-hmac"):
                services[f"SoftHSM {method}"] = _softhsm(folder, method)
        except (SettingsError, KeyServiceNotUsable) as error:
            print(f"(not measured: {error})")
        else:
            both = set(KeyName) - SIGNING_KEYS
            services["custody of both"] = CustodyKeyService(services["key file"], services["SoftHSM aes-gcm"], both)
        yield services


def _softhsm(folder: Path, method: str) -> KeyService:
    from sceau.keys.pkcs11 import Pkcs11KeyService
    from sceau.keys.pkcs11_library import find_module, shared_library
    from sceau.keys.pkcs11_objects import create_version
    from sceau.keys.pkcs11_token import PinSource, shared_token

    module = find_module(folder, Path("libsofthsm2.so"))
    configuration, pin = folder / "softhsm" / "softhsm2.conf", folder / "pin"
    if not configuration.exists():
        create_token(configuration, "bench", pin)
    shared_library(module).use_softhsm(configuration)
    token = shared_token(module, "bench", PinSource(file=pin))
    for key in (KeyName.CONTENT, KeyName.TOKENS):
        create_version(token, method, key, method=method)
    return Pkcs11KeyService(token, method)


def _acts(keys: KeyService) -> dict[str, Callable[[], object]]:
    context = document(encode_id(bytes(16)), encode_id(bytes(16)))
    wrapped = keys.wrap(KeyName.CONTENT, secrets.token_bytes(32), context)
    version = keys.public_keys(KeyName.TOKENS)[0].version
    return {
        "wraps": lambda: keys.wrap(KeyName.CONTENT, secrets.token_bytes(32), context),
        "unwraps": lambda: keys.unwrap(KeyName.CONTENT, wrapped, context),
        "signatures": lambda: keys.sign(KeyName.TOKENS, bytes(32), version=version),
    }


def _rate(act: Callable[[], object], threads: int) -> float:
    """How often `act` was done in a second, by `threads` at a time."""
    act()
    end = time.perf_counter() + SECONDS

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            act()
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / SECONDS
