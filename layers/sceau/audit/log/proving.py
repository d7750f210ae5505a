"""Makes the proof that an event is in the log: what a patient takes away (`proofs.py` says how it is checked)."""

from __future__ import annotations

from collections.abc import Mapping

from sceau.audit.journal import JournalEvent
from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.errors import LogDamaged, LogUnavailable, NotLogged
from sceau.audit.log.hashes import Node, includes, leaf_hash
from sceau.audit.log.places import RECORDS, parse_index
from sceau.audit.log.proofs import EventProof
from sceau.audit.log.reading import LogReader
from sceau.objects.errors import ObjectStoreError
from sceau.objects.ports import ObjectStore


class ProofMaker:
    """Proves events by the log as it is when this is made: two reads, and one per level of tiles for each proof.

    It holds no key: whoever opened the event gives it. Raises LogUnavailable; NotLogged while there is no checkpoint.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._log = LogReader(store)
        newest = self._log.checkpoint()
        if newest is None:
            raise NotLogged("the log has no checkpoint yet")
        self.checkpoint: Checkpoint = newest[0]
        """What the proofs lead to."""
        self._note = newest[1]
        self._frontier: Mapping[Node, bytes] = self._log.known_frontier(self.checkpoint)

    def index_of(self, record_id: str, event_id: str) -> int | None:
        """At which index of the log a record's event is; None when it is not, as far as its checkpoint goes.

        One listing. Raises LogUnavailable.
        """
        try:
            for name in self._store.list(f"{RECORDS}{record_id}/{event_id}."):
                index = parse_index(name)[2]
                return index if index < self.checkpoint.size else None
        except ObjectStoreError as error:
            raise LogUnavailable("the index of the log can't be listed") from error
        except ValueError:
            raise LogDamaged(f"{RECORDS}{record_id}/ holds what is no index object") from None
        return None

    def prove(self, event: JournalEvent, index: int) -> EventProof:
        """The proof of an event that the reader opened. `index`: where the index says that it is logged.

        It is verified before it is given. Raises NotLogged when the checkpoint does not hold it, LogDamaged when the
        log says something else at this index, LogUnavailable.
        """
        if index >= self.checkpoint.size:
            raise NotLogged("the newest checkpoint does not hold the event yet")
        path = self._log.inclusion(index, self.checkpoint.size, self._frontier)
        leaf = leaf_hash(event.entry.encode())
        if not includes(leaf, index, self.checkpoint.size, path, self.checkpoint.root):
            raise LogDamaged(f"event {event.event_id} is not what the log holds at index {index}")
        return EventProof(index, event.opening, event.entry, tuple(path), self._note)
