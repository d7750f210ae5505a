"""The table "Who holds which right" of docs/architecture.md, cell by cell: what is declared, and what is enforced.

Every cell is tried on the function as it is built: each operation on each kind of object, each operation on each key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.objects import MemoryStore
from sceau.keys.errors import KeyRightDenied, KeyServiceError
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import SIGNING_KEYS, KeyName, KeyService
from sceau.keys.scoped import KeyOperation
from sceau.objects.errors import ObjectRightDenied, ObjectStoreError
from sceau.objects.scoped import ScopedStore
from sceau.stage import key_grants, scoped_keys, scoped_store
from sceau_schemas.deployment import Chalicefile, Rights, read_chalicefile

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, tzinfo=UTC)
RECORD = "a" * 26
ENTRY = "b" * 26

OBJECTS = {
    "dossier": f"records/{RECORD}/dossier",
    "document": f"records/{RECORD}/documents/{ENTRY}",
    "event": f"journal/events/2026-11-23/10/00/{RECORD}.0",
    "log": "journal/log/checkpoint",
    "log tile": "journal/log/tile/0/000",
    "dated checkpoint": "journal/log/checkpoints/2026-11-23/100000.0000000000000001",
    "record index": f"journal/records/{RECORD}/x.1",
    "reconciliation": "journal/reconciliation",
    "locks": "journal/locks",
    "configuration": "configuration/clients/lab",
    "issuers": "configuration/issuers/psc",
    "pseudonym": "configuration/pseudonym",
    "log seed": "configuration/log-seed",
    "due": f"due/2026-11-23/{RECORD}",
    "ended": f"ended/2026-11-23/{RECORD}",
    "expunged": f"expunged/2026-11-23/{RECORD}",
    "probe": "probe/x",
    "replay": "replay/20261123T1000/x",
    "revoked": "revoked/20261123T1000/x",
}
"""One object of each kind at rest (architecture.md, "At rest")."""

LISTED = {kind: name.rpartition("/")[0] + "/" for kind, name in OBJECTS.items()}

OPERATIONS: dict[str, Callable[[ScopedStore, str], object]] = {
    "read": lambda store, name: store.read(name),
    "read-versions": lambda store, name: store.history(name),
    "create": lambda store, name: store.create(name, b"x"),
    "create-locked": lambda store, name: store.create(name, b"x", locked_until=NOW + timedelta(days=1)),
    "replace": lambda store, name: store.replace(name, b"x", expected=None),
    "delete": lambda store, name: store.delete(name),
    "delete-versions": lambda store, name: store.expunge(name, deleted_before=NOW, most=1),
    "extend-lock": lambda store, name: store.extend_lock(name, NOW + timedelta(days=1)),
}

_LOG = ("log", "log tile", "dated checkpoint")
_CONFIGURATION = ("configuration", "issuers", "pseudonym", "log seed")  # the last two sealed under keys of their own
_SERVING = {(kind, "read") for kind in _CONFIGURATION} | {
    ("event", "create-locked"),
    ("replay", "create"),
    ("revoked", "list"),
}
"""What every function that serves requests holds: configuration, replay marks, the list of revoked tokens, append."""

_PROBES = {("probe", operation) for operation in (*OPERATIONS, "list") if "versions" not in operation}
"""What measures a stage writes there, and nothing of a record."""

STORE_TABLE: dict[str, set[tuple[str, str]]] = {
    "authentication": _SERVING | {("issuers", "list"), ("pseudonym", "create"), ("revoked", "create")},
    "ingest": _SERVING | {("dossier", "read"), ("dossier", "replace"), ("document", "create")},
    "retrieval": _SERVING | {("dossier", "read"), ("document", "read")},
    "consent": _SERVING | {("dossier", "read"), ("dossier", "replace"), ("due", "create")},
    "traces": _SERVING
    | {("dossier", "read")}
    | {(kind, operation) for kind in ("event", *_LOG, "record index") for operation in ("read", "list")},
    "journal": {("event", "list"), ("event", "read"), ("record index", "create"), ("log seed", "read")}
    | {(kind, operation) for kind in _LOG for operation in ("list", "read", "replace")}
    | {("log tile", "create-locked"), ("dated checkpoint", "create-locked"), ("log seed", "replace")}
    | {("reconciliation", "read"), ("reconciliation", "replace")},
    "upkeep": {("dossier", operation) for operation in ("list", "read", "replace", "delete")}
    | {("document", "list"), ("document", "delete"), ("event", "create-locked")}
    | {("due", operation) for operation in ("list", "delete")}
    | {("ended", "create")}
    | {(kind, operation) for kind in ("replay", "revoked") for operation in ("list", "delete")}
    | {(kind, operation) for kind in ("event", "log tile", "dated checkpoint") for operation in ("list", "extend-lock")}
    | {("locks", "read"), ("locks", "replace")}
    | _PROBES,
    "expunge": {(kind, operation) for kind in ("dossier", "document") for operation in ("list", "delete-versions")}
    | {("ended", "list"), ("ended", "delete"), ("event", "create-locked")}
    | {("expunged", operation) for operation in ("list", "create", "delete")},
    "rewrap": {("dossier", "list"), ("dossier", "read"), ("dossier", "replace")}
    | {("document", "list"), ("document", "read"), ("document", "create"), ("event", "create-locked")}
    | {("dossier", "read-versions"), ("document", "read-versions")}
    | {("ended", "list"), ("ended", "delete")},
}

_READER = {("configuration", "unwrap"), ("pseudonym", "unwrap"), ("journal", "wrap"), ("tokens", "public")}

_DESCRIBED = {(key.value, "describe") for key in KeyName}
"""What a key is, and not what it does: enough to notice one that is about to be deleted, and to open nothing."""

KEY_TABLE: dict[str, set[tuple[str, str]]] = {
    "authentication": _READER | {("pseudonym", "wrap"), ("tokens", "sign")},
    "ingest": _READER | {("dossier", "wrap"), ("dossier", "unwrap"), ("content", "wrap")},
    "retrieval": _READER | {("dossier", "unwrap"), ("content", "unwrap")},
    "consent": _READER | {("dossier", "wrap"), ("dossier", "unwrap")},
    "traces": _READER | {("dossier", "unwrap"), ("journal", "unwrap")},
    "journal": {("log", "wrap"), ("log", "unwrap"), ("checkpoints", "sign"), ("checkpoints", "public")},
    "upkeep": _DESCRIBED
    | {(key, operation) for key in ("dossier", "probe") for operation in ("wrap", "unwrap")}
    | {("journal", "wrap")},
    "expunge": {("journal", "wrap")},
    "rewrap": {("dossier", "wrap"), ("dossier", "unwrap"), ("content", "wrap"), ("content", "unwrap")}
    | {("journal", "wrap")},
}

TOOL_STORE: set[tuple[str, str]] = {
    (kind, operation) for kind in _CONFIGURATION for operation in ("read", "list", "replace")
} | {
    (kind, operation)
    for kind in ("event", *_LOG, "record index", "reconciliation", "locks")
    for operation in ("read", "list")
}
TOOL_STORE |= _PROBES
TOOL_KEYS = {("configuration", "wrap"), ("configuration", "unwrap"), ("probe", "wrap"), ("probe", "unwrap")}
TOOL_KEYS |= _DESCRIBED

INVENTORY: set[tuple[str, str]] = {
    (kind, operation) for kind in ("dossier", "document", "event", *_CONFIGURATION) for operation in ("read", "list")
}
"""What counts the versions of keys: it reads what rests as it rests."""

_MARKS = ("due", "ended", "expunged")
_JOURNAL = ("event", *_LOG, "record index", "reconciliation", "locks")

BACKUP: set[tuple[str, str]] = {
    (kind, operation)
    for kind in ("dossier", "document", *_MARKS, *_CONFIGURATION, *_JOURNAL)
    for operation in ("read", "list")
} | {(kind, "read-versions") for kind in ("dossier", "document", *_CONFIGURATION)}
"""What copies everything reads everything, as it rests."""

RESTORE: set[tuple[str, str]] = {
    (kind, operation)
    for kind in ("dossier", "document", *_MARKS, *_CONFIGURATION, *_JOURNAL)
    for operation in ("read", "list")
}
RESTORE |= {(kind, "create") for kind in ("dossier", "document", *_MARKS, *_CONFIGURATION, *_LOG)}
RESTORE |= {("record index", "create"), ("reconciliation", "create")}
RESTORE |= {(kind, "create-locked") for kind in ("event", "log tile", "dated checkpoint")}
"""What fills an empty stage creates, and replaces nothing."""


@pytest.fixture(scope="module")
def chalicefile() -> Chalicefile:
    return read_chalicefile(ROOT / "chalicefile")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyService:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    create_key_file(path, clock=lambda: NOW)
    return LocalKeyService(path)


def allowed_store(rights: Rights) -> set[tuple[str, str]]:
    """Every (kind, operation) that the scoped store lets through to the store behind it."""
    found = set()
    for kind, name in OBJECTS.items():
        for operation, attempt in OPERATIONS.items():
            store = scoped_store(MemoryStore(lambda: NOW), rights)
            if _reaches(lambda a=attempt, s=store, n=name: a(s, n)):  # type: ignore[misc]
                found.add((kind, operation))
        store = scoped_store(MemoryStore(lambda: NOW), rights)
        if _reaches(lambda s=store, p=LISTED[kind]: _drain(s.list(p))):  # type: ignore[misc]
            found.add((kind, "list"))
        store = scoped_store(MemoryStore(lambda: NOW), rights)
        if _reaches(lambda s=store, n=name: s.written_at(n)):  # type: ignore[misc]
            assert (kind, "list") in found, "who may not list may not ask for an object's age either"
    return found


def allowed_keys(rights: Rights, keys: KeyService) -> set[tuple[str, str]]:
    """Every (key, operation) that the scoped key service lets through."""
    scoped = scoped_keys(keys, rights)
    context = {"purpose": "test"}
    found = set()
    for key in KeyName:
        attempts: dict[str, Callable[[], object]] = {
            "wrap": lambda k=key: scoped.wrap(k, bytes(32), context),  # type: ignore[misc]
            "unwrap": lambda k=key: scoped.unwrap(k, bytes(64), context),  # type: ignore[misc]
            "sign": lambda k=key: scoped.sign(k, bytes(32), version="1"),  # type: ignore[misc]
            "public": lambda k=key: scoped.public_keys(k),  # type: ignore[misc]
        }
        if KeyOperation.DESCRIBE in key_grants(rights).get(key, ()):  # what `sceau.keys.checks` goes by
            found.add((key.value, "describe"))
        for operation, attempt in attempts.items():
            if _reaches(attempt):
                found.add((key.value, operation))
    return found


def _reaches(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (ObjectRightDenied, KeyRightDenied):
        return False
    except (ObjectStoreError, KeyServiceError):
        return True  # let through: what it then met behind the scope is not the point here
    return True


def _drain(names: Iterator[str]) -> None:
    for _ in names:
        pass


def test_the_table_and_the_chalicefile_name_the_same_roles(chalicefile: Chalicefile) -> None:
    assert set(chalicefile.functions) == set(STORE_TABLE) == set(KEY_TABLE)
    assert set(chalicefile.tools) == {"operations", "inventory", "backup", "restore"}


@pytest.mark.parametrize("function", sorted(STORE_TABLE))
def test_a_function_has_exactly_the_store_rights_of_its_row(function: str, chalicefile: Chalicefile) -> None:
    assert allowed_store(chalicefile.functions[function]) == STORE_TABLE[function]


@pytest.mark.parametrize("function", sorted(KEY_TABLE))
def test_a_function_has_exactly_the_key_rights_of_its_row(
    function: str, chalicefile: Chalicefile, keys: KeyService
) -> None:
    assert allowed_keys(chalicefile.functions[function], keys) == KEY_TABLE[function]


def test_operations_hold_no_key_that_opens_health_data(chalicefile: Chalicefile, keys: KeyService) -> None:
    rights = chalicefile.tools["operations"]
    assert allowed_store(rights) == TOOL_STORE
    assert allowed_keys(rights, keys) == TOOL_KEYS


def test_what_counts_versions_of_keys_holds_none_and_changes_nothing(
    chalicefile: Chalicefile, keys: KeyService
) -> None:
    rights = chalicefile.tools["inventory"]
    assert allowed_store(rights) == INVENTORY
    assert allowed_keys(rights, keys) == set()


def test_what_copies_everything_holds_no_key_and_changes_nothing(chalicefile: Chalicefile, keys: KeyService) -> None:
    rights = chalicefile.tools["backup"]
    assert allowed_store(rights) == BACKUP
    assert allowed_keys(rights, keys) == set()


def test_what_fills_an_empty_stage_holds_no_key_replaces_nothing_and_is_off(
    chalicefile: Chalicefile, keys: KeyService
) -> None:
    rights = chalicefile.tools["restore"]
    assert allowed_store(rights) == RESTORE
    assert allowed_keys(rights, keys) == set()
    assert rights.on_demand
    assert all("restore" not in chalicefile.tools_of(stage) for stage in chalicefile.stages.values())


def test_earlier_versions_are_read_by_what_restores_and_what_copies_alone(chalicefile: Chalicefile) -> None:
    roles = {**chalicefile.functions, **chalicefile.tools}
    readers = {
        name for name, role in roles.items() if any("read-versions" in operations for operations in role.store.values())
    }
    assert readers == {"rewrap", "backup"}


def test_what_may_open_and_rewrite_everything_of_a_record_is_off(chalicefile: Chalicefile) -> None:
    both = {
        name
        for name, function in chalicefile.functions.items()
        if {"wrap", "unwrap"} <= set(function.keys.get("content", ()))
    }
    assert both == {"rewrap"}
    assert chalicefile.functions["rewrap"].on_demand
    assert [name for name, stage in chalicefile.stages.items() if stage.switched_on] == []


def test_one_function_alone_removes_earlier_versions_of_records_only_and_it_opens_nothing(
    chalicefile: Chalicefile, keys: KeyService
) -> None:
    roles = {**chalicefile.functions, **chalicefile.tools}
    holders = {
        (name, pattern)
        for name, role in roles.items()
        for pattern, operations in role.store.items()
        if "delete-versions" in operations
    }
    assert holders == {("expunge", "records/")}
    expunge = chalicefile.functions["expunge"]
    assert {operation for _, operation in allowed_keys(expunge, keys)} == {"wrap"}
    assert not {"read", "replace", "read-versions"} & {one for held in expunge.store.values() for one in held}
    assert not expunge.routes, "nobody can ask it for anything"


def test_only_upkeep_deletes_records_and_makes_locks_longer(chalicefile: Chalicefile) -> None:
    granted = {
        (name, pattern, operation)
        for name, function in chalicefile.functions.items()
        for pattern, operations in function.store.items()
        for operation in operations
        if operation in ("delete", "extend-lock")
    }
    by_tools = {
        (name, pattern)
        for name, tool in chalicefile.tools.items()
        for pattern, operations in tool.store.items()
        if "delete" in operations
    }
    assert by_tools == {("operations", "probe/")}
    assert granted == {
        ("upkeep", "records/*/documents/", "delete"),
        ("upkeep", "records/*/dossier", "delete"),
        ("upkeep", "due/", "delete"),
        ("upkeep", "replay/", "delete"),
        ("upkeep", "revoked/", "delete"),
        ("upkeep", "journal/events/", "extend-lock"),
        ("upkeep", "journal/log/tile/", "extend-lock"),
        ("upkeep", "journal/log/checkpoints/", "extend-lock"),
        ("upkeep", "probe/", "delete"),
        ("upkeep", "probe/", "extend-lock"),
        ("expunge", "ended/", "delete"),
        ("expunge", "expunged/", "delete"),
        ("rewrap", "ended/", "delete"),
    }


def test_upkeep_opens_and_reads_no_document_nor_event(chalicefile: Chalicefile) -> None:
    upkeep = chalicefile.functions["upkeep"]
    assert {key for key, operations in upkeep.keys.items() if "unwrap" in operations} == {"dossier", "probe"}
    read = {pattern for pattern, operations in upkeep.store.items() if "read" in operations}
    assert read == {"records/*/dossier", "journal/locks", "probe/"}


def test_ingest_can_seal_a_document_but_never_open_one(chalicefile: Chalicefile, keys: KeyService) -> None:
    scoped = scoped_keys(keys, chalicefile.functions["ingest"])
    wrapped = scoped.wrap(KeyName.CONTENT, bytes(32), {"purpose": "document"})
    with pytest.raises(KeyRightDenied):
        scoped.unwrap(KeyName.CONTENT, wrapped, {"purpose": "document"})


def test_the_sealer_opens_nothing_that_others_sealed(chalicefile: Chalicefile, keys: KeyService) -> None:
    allowed = allowed_keys(chalicefile.functions["journal"], keys)
    assert {key for key, operation in allowed if operation == "unwrap"} == {"log"}
    holders = {name for name, one in chalicefile.functions.items() if set(one.keys.get("log", ())) - {"describe"}}
    others = holders - {"journal"}
    assert others == set(), "and nobody else has the log's seed"


def test_tokens_are_signed_by_authentication_and_checkpoints_by_the_sealer_alone(chalicefile: Chalicefile) -> None:
    signers = {
        (name, key.value)
        for name, function in chalicefile.functions.items()
        for key in SIGNING_KEYS
        if "sign" in function.keys.get(key.value, ())
    }
    assert signers == {("authentication", "tokens"), ("journal", "checkpoints")}
