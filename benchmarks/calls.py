"""Calls of store and key service per act, counted at their ports: what an act costs on a host that is not local.

What is renewed now and then is counted apart: journal keys, token keys, configuration, the list of revocations; and
the minute's event about requests that nobody was authenticated for.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Bar, Figures, table
from benchmarks.functions import Functions, functions_of
from benchmarks.https import FHIR, RAW
from benchmarks.records import PEOPLE, RecordWriter, WrittenRecord, exam_search, publication
from benchmarks.stage import LocalStage, made_stage, quiet_log
from sceau.audit.ids import NO_RECORD
from sceau.cli.session import Session
from sceau.keys.ports import KeyName

ENTRIES = 20
PUBLISHED = (1, 3)
"""Documents of the publications that are counted."""

EXPECTED: Mapping[str, tuple[int, int]] = {
    **{f"publish.{documents}": (4 + documents, 2 + documents) for documents in PUBLISHED},
    "search": (3, 1),
    "retrieve": (4, 2),
    "token": (4, 1),
}
"""Calls of the store, and of the key service, that an act has; no more, and no fewer."""


@dataclass(slots=True)
class Counted:
    """What an act called: by operation and the beginning of the name, or operation and key; and what was renewed."""

    store: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    renewed: Counter[str] = field(default_factory=Counter)

    def of_store(self, operation: str, name: str) -> None:
        """Count a call of the store."""
        place = name.partition("/")[0]
        of_no_record = place == "journal" and name.rpartition("/")[2].startswith(f"{NO_RECORD}.")
        renewed = place == "configuration" or (place == "revoked" and operation == "list") or of_no_record
        (self.renewed if renewed else self.store)[f"{operation} {place}"] += 1

    def of_keys(self, operation: str, key: str) -> None:
        """Count a call of the key service."""
        renewed = key in (KeyName.JOURNAL, KeyName.CONFIGURATION, KeyName.PSEUDONYM) or operation == "public_keys"
        (self.renewed if renewed else self.keys)[f"{operation} {key}"] += 1

    def take(self) -> Counted:
        """What was counted so far; counting begins anew."""
        taken = Counted(self.store.copy(), self.keys.copy(), self.renewed.copy())
        for counter in (self.store, self.keys, self.renewed):
            counter.clear()
        return taken


class CountingPort:
    """Stands before a store or a key service: `note` is told each call's method and first argument."""

    def __init__(self, port: object, note: Callable[[str, str], None]) -> None:
        self._port = port
        self._note = note

    def __getattr__(self, method: str) -> Callable[..., Any]:
        call = getattr(self._port, method)
        if method == "time":
            return call  # type: ignore[no-any-return]  # no call: see the port

        def noted(first: str, *rest: Any, **named: Any) -> Any:
            self._note(method, first)
            return call(first, *rest, **named)

        return noted


def count_calls(folder: Path) -> dict[str, Counted]:
    """What each act calls, on a stage that is made in `folder`."""
    with made_stage(folder / "stage") as local:
        return _count(local)


def _count(local: LocalStage) -> dict[str, Counted]:
    counted = Counted()
    store: Any = CountingPort(local.stage.store(), counted.of_store)
    keys: Any = CountingPort(local.stage.keys(), counted.of_keys)
    with functions_of(local, store=store, keys=keys) as functions:
        # The person's record and the functions' caches: then the counting begins.
        record = RecordWriter(local.stage).write(PEOPLE["dominique"], ENTRIES)
        laboratory, physician = functions.session("laboratory"), functions.session("hospital-physician")
        acts = _acts(functions, record, laboratory, physician)
        for name in ("publish.1", "search", "retrieve"):
            acts[name]()
        counted.take()
        found = {}
        for name, act in acts.items():
            act()
            found[name] = counted.take()
    return found


def calls(figures: Figures) -> None:
    """Count, and show what was counted."""
    with tempfile.TemporaryDirectory(prefix="sceau-calls-") as folder, quiet_log():
        found = count_calls(Path(folder))
    rows: list[list[str | float]] = []
    for name, counted in found.items():
        numbers = (counted.store.total(), counted.keys.total())
        for what, number, bar in zip(("store", "keys"), numbers, EXPECTED[name], strict=True):
            figures.add(f"calls.{name}.{what}", number, Bar(bar))
        figures.add(f"calls.{name}.renewed", counted.renewed.total())
        texts = [_text(one) for one in (counted.store, counted.keys, counted.renewed)]
        rows.append([name, *numbers, *texts])
    print(table("Calls per act", ("act", "store", "keys", "store calls", "key calls", "renewed"), rows))


def _acts(
    functions: Functions, record: WrittenRecord, laboratory: Session, physician: Session
) -> dict[str, Callable[[], None]]:
    def publish(documents: int) -> Callable[[], None]:
        return lambda: _done(laboratory, "POST", "/fhir", FHIR, publication(record.patient, documents))

    return {
        **{f"publish.{documents}": publish(documents) for documents in PUBLISHED},
        "search": lambda: _done(physician, "GET", exam_search(record.patient), FHIR),
        "retrieve": lambda: _done(physician, "GET", f"/fhir/Binary/{record.readable[0]}", RAW),
        "token": lambda: _token(functions),
    }


def _done(session: Session, method: str, target: str, headers: dict[str, str], body: bytes | None = None) -> None:
    response = session.request(method, target, body, headers)
    if response.status != 200:
        raise RuntimeError(f"{method} {target} answered {response.status}: {response.data[:300]!r}")


def _token(functions: Functions) -> None:
    """A token for a person, exchanged for the trusted issuer's. The first try learns the nonce and calls nothing."""
    functions.session("hospital-physician")


def _text(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" if number > 1 else what for what, number in sorted(counter.items())) or "-"
