"""The encryption contexts: what each sealed message says about its own place. Nothing else names these fields.

Contexts are compared whole on opening, so an object that was moved, swapped or relabelled is found at once. They
travel in clear in each message: no patient data, and ASCII only, so that every key service sees the same text.
Frozen: see `docs/formats/sealed-message.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sceau.envelope.errors import MessageRefused

FORMAT: Final = "1"
"""The version of these contexts, and of what is sealed under them."""

EVENT: Final = "event"
"""The purpose of journal events, which are sealed in batches."""

BATCH: Final = "batch"
"""The name that tells a message of a batch; no message with a data key of its own may have it."""

EVENT_CARRIED: Final = frozenset({"commitment", "dossier-version"})
"""What an event's context carries beside its place: pass it as `carried` when opening, read it with `read_carried`."""

_PLAIN = re.compile(r"[!-~]{1,256}")  # printable ASCII without the space
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True)
class Carried:
    """What an event's context carries: the commitment to its plaintext, and the dossier version that it saw."""

    commitment: bytes
    dossier_version: int


def dossier(record_id: str, documents_sha256: bytes) -> dict[str, str]:
    """A record's dossier. `documents_sha256` is the digest of the clear list of documents before the message."""
    return _context("dossier", {"record": record_id, "documents-sha256": _digest(documents_sha256)})


def document(record_id: str, entry_id: str) -> dict[str, str]:
    """The content of a document."""
    return _context("document", {"record": record_id, "entry": entry_id})


def event(record_id: str, event_id: str) -> dict[str, str]:
    """A journal event, as it is opened; `record_id` is "0" where there is none."""
    return _context(EVENT, {"record": record_id, "event": event_id})


def event_to_seal(record_id: str, event_id: str, carried: Carried) -> dict[str, str]:
    """A journal event, as it is sealed: `event` and what it carries. The dossier version is 0 where none was seen."""
    if carried.dossier_version < 0:
        raise ValueError("a dossier version is not negative")
    return event(record_id, event_id) | {
        "commitment": _digest(carried.commitment),
        "dossier-version": str(carried.dossier_version),
    }


def read_carried(context: Mapping[str, str]) -> Carried:
    """What an event's context carries. Raises MessageRefused when a value is missing or not of its form.

    No more authenticated than `context` is: see `messages.read_context`.
    """
    commitment, version = context.get("commitment", ""), context.get("dossier-version", "")
    if not _COMMITMENT.fullmatch(commitment) or not _NUMBER.fullmatch(version):
        raise MessageRefused("the context of an event does not carry what it should")
    return Carried(bytes.fromhex(commitment), int(version))


def configuration(name: str) -> dict[str, str]:
    """A configuration object, by its name."""
    return _context("configuration", {"name": name})


def pseudonym() -> dict[str, str]:
    """The keyed-hash key."""
    return _context("pseudonym", {})


def log_seed() -> dict[str, str]:
    """The seed of the log's signing key."""
    return _context("log-seed", {})


def batch(purpose: str, batch_id: str) -> dict[str, str]:
    """What the data key of a batch is bound to; its messages' contexts have the same three pairs, and more."""
    return _context(purpose, {BATCH: batch_id})


def _context(purpose: str, place: Mapping[str, str]) -> dict[str, str]:
    context = {"format": FORMAT, "purpose": purpose, **place}
    if not all(_PLAIN.fullmatch(value) for value in context.values()):
        raise ValueError("values of an encryption context are printable ASCII, not empty")
    return context


def _digest(value: bytes) -> str:
    if len(value) != _SHA256_BYTES:
        raise ValueError(f"a SHA-256 digest has {_SHA256_BYTES} bytes")
    return value.hex()
