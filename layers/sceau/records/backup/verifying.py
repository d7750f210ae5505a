"""`sceau backup verify`: every object of a backup against its digest. No key is needed, and none is used."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from sceau.objects.errors import ObjectAbsent, ObjectStoreUnavailable
from sceau.objects.ports import ObjectStore
from sceau.objects.scoped import covers
from sceau.records.backup.ageing import Ageing, outstaying
from sceau.records.backup.format import MARKER, OBJECTS, RUNS, Copy, RunEnd, content_name, sha256_of
from sceau.records.backup.manifests import Manifests, require_backup
from sceau.records.backup.places import DOSSIERS
from sceau.records.backup.state import state_of
from sceau.records.dossier import split_object
from sceau.records.errors import RecordDamaged

_STEP: Final = 1024


@dataclass(slots=True)
class Verified:
    """What a verification found. `findings`: sentences, each of which names an object. `stray`: objects that no
    manifest names, as a run leaves them that died; harmless."""

    stage: str = ""
    contents: int = 0
    bytes: int = 0
    present: int = 0
    stray: int = 0
    last: RunEnd | None = None
    digest: str | None = None
    findings: list[str] = field(default_factory=list)


def verify_backup(
    store: ObjectStore, pool: Executor, *, now: datetime, forgets_after: timedelta, expected: str | None = None
) -> Verified:
    """Read everything and compare it. `expected`: the digest of a run's end, kept elsewhere: it must be in the chain.

    `forgets_after`: how long what was deleted with its record may stay (`ageing`); more than some days longer, it is
    overdue. Raises BackupRefused when there is no backup; ObjectStoreUnavailable.
    """
    found = Verified(require_backup(store))
    manifests = Manifests(store)
    ageing, lines = Ageing(forgets_after), list(manifests.lines())
    for line in lines:
        ageing.learn(line)
    copies = [line for line in lines if isinstance(line, Copy)]
    found.findings += manifests.problems
    found.last, found.digest = manifests.last, manifests.last_digest
    if expected is not None and expected not in manifests.digests:
        found.findings.append(f"no run ended with the digest {expected}: runs were taken away, or are others")
    state = state_of(copies)
    found.present = len(state)
    kept = (copy for copy in copies if copy.sha256 is not None and (copy.name, copy.sha256) not in manifests.erased)
    wanted = {copy.object_name: copy for copy in kept}
    names = iter(wanted.values())
    while some := list(islice(names, _STEP)):
        for copy, data in zip(some, pool.map(lambda one: _read(store, one), some), strict=True):
            if isinstance(data, str):
                found.findings.append(data)
                continue
            found.contents += 1
            found.bytes += copy.size
            if covers(DOSSIERS, copy.name) and state.get(copy.name) is copy:
                found.findings += _unlisted(copy, data, state)
    aged_out = {content_name(name, sha256) for name, sha256 in manifests.erased}
    for name in store.list(OBJECTS):
        found.stray += name not in wanted and name not in aged_out
        if name in aged_out:
            found.findings.append(f"{name} aged out, and is there again")
    found.findings += outstaying(lines, ageing, now)
    found.findings += [
        f"{name} is nothing of a backup"
        for name in store.list("")
        if name != MARKER and not name.startswith((OBJECTS, RUNS))
    ]
    return found


def _read(store: ObjectStore, copy: Copy) -> bytes | str:
    """A content, of which a document's is not kept; or a sentence on what is wrong with it."""
    try:
        data = store.read(copy.object_name).data
    except ObjectAbsent:
        return f"{copy.object_name} is missing"
    except ObjectStoreUnavailable as error:
        return f"{copy.object_name} can't be read: {error}"
    if len(data) != copy.size or sha256_of(data) != copy.sha256:
        return f"{copy.object_name} was altered"
    return data if covers(DOSSIERS, copy.name) else b""


def _unlisted(copy: Copy, data: bytes, state: dict[str, Copy]) -> list[str]:
    """What a present dossier lists, and the backup does not hold."""
    try:
        names = split_object(data)[1]
    except RecordDamaged:
        return [f"{copy.name} was damaged already when it was copied"]
    return [f"{name}, which {copy.name} lists, is not in the backup" for name in names if name not in state]
