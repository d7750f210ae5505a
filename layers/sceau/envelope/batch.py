"""Seal and open the messages of batches: one data key for many messages of one process (the journal's events).

A batch's data key is wrapped for exactly {format, purpose, batch}; each message's authenticated header has these
three and the message's own place. Which of the two ways a message is read, this one or `Envelope.open`, is decided
by the caller's code, never by the message: a message of the other way has a name too many or too few, and is refused.

The messages of a batch don't share keys: the SDK derives each one's key from the data key and 32 random bytes.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from sceau.envelope import contexts, sdk
from sceau.envelope.contexts import BATCH
from sceau.envelope.errors import MessageRefused
from sceau.envelope.messages import Opened, carried_names, check_place, unwrapped, usable
from sceau.keys.ports import DATA_KEY_BYTES, KeyName, KeyService

BATCH_MESSAGES = 1000
BATCH_LIFE = timedelta(minutes=5)
CACHED_KEYS = 64
CACHE_LIFE = timedelta(minutes=5)

_BATCH_ID_BYTES = 16
_BATCH_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class _Batch:
    batch_id: str
    started: datetime
    data_key: bytes
    wrapped: bytes
    left: int = BATCH_MESSAGES


class BatchSealer:
    """Seals messages of one purpose under `key`: a new data key after 1,000 messages or 5 minutes. Safe under threads.

    One per process and key. `clock` gives aware times; when it goes back, a new batch begins.
    """

    def __init__(
        self,
        keys: KeyService,
        key: KeyName,
        *,
        clock: Callable[[], datetime],
        purpose: str = contexts.EVENT,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._keys = keys
        self._key = key
        self._clock = clock
        self._purpose = purpose
        self._random_bytes = random_bytes
        self._lock = Lock()
        self._batch: _Batch | None = None

    def seal(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """Seal in the running batch, or begin one (a call of the key service: wrap; other threads wait for it).

        Raises what `wrap` raises: then no batch has begun, and the next call tries again. Raises ValueError for a
        context that can't be used, or that is not of this purpose.
        """
        whole = _of_purpose(context, self._purpose)
        with self._lock:
            batch = self._running()
            batch.left -= 1
        whole[BATCH] = batch.batch_id
        return sdk.write(plaintext, whole, key=self._key, data_key=batch.data_key, wrapped=batch.wrapped)

    def _running(self) -> _Batch:
        now, batch = self._clock(), self._batch
        if batch is None or not batch.left or not batch.started <= now < batch.started + BATCH_LIFE:
            data_key = self._random_bytes(DATA_KEY_BYTES)
            batch_id = self._random_bytes(_BATCH_ID_BYTES).hex()
            wrapped = self._keys.wrap(self._key, data_key, contexts.batch(self._purpose, batch_id))
            batch = self._batch = _Batch(batch_id, now, data_key, wrapped)
        return batch


class BatchOpener:
    """Opens messages that a BatchSealer of the same key and purpose sealed. Safe under threads.

    Keeps the data keys of the last 64 batches for at most 5 minutes, since who reads events reads many of few
    batches. So a key version that was disabled may go on opening, in a running process, for that long.
    """

    def __init__(
        self, keys: KeyService, key: KeyName, *, clock: Callable[[], datetime], purpose: str = contexts.EVENT
    ) -> None:
        self._keys = keys
        self._key = key
        self._clock = clock
        self._purpose = purpose
        self._lock = Lock()
        self._cache: OrderedDict[tuple[str, bytes], tuple[datetime, bytes]] = OrderedDict()

    def open(self, message: bytes, context: Mapping[str, str], *, carried: Collection[str] = ()) -> Opened:
        """Open a message of exactly `context`, the `carried` names and its batch: at most one `unwrap`.

        `Opened.context` holds `batch` too. Errors are those of `Envelope.open`.
        """
        whole, names = _of_purpose(context, self._purpose), carried_names(carried, context) | {BATCH}

        def data_key_for(header: sdk.Header) -> bytes:
            check_place(header, self._key, whole, names)
            batch_id = header.context[BATCH]
            if not _BATCH_ID.fullmatch(batch_id):
                raise MessageRefused("the message's batch has no id of ours")
            return self._data_key(batch_id, header.wrapped)

        return Opened(*sdk.read(message, data_key_for))

    def _data_key(self, batch_id: str, wrapped: bytes) -> bytes:
        # Both are the key: other wrapped bytes, or another batch, must go through the key service.
        place, now = (batch_id, wrapped), self._clock()
        with self._lock:
            kept = self._cache.get(place)
            if kept and kept[0] <= now < kept[0] + CACHE_LIFE:
                self._cache.move_to_end(place)
                return kept[1]
        data_key = unwrapped(self._keys, self._key, wrapped, contexts.batch(self._purpose, batch_id))
        with self._lock:
            self._cache[place] = (now, data_key)
            self._cache.move_to_end(place)
            while len(self._cache) > CACHED_KEYS:
                self._cache.popitem(last=False)
        return data_key


def _of_purpose(context: Mapping[str, str], purpose: str) -> dict[str, str]:
    whole = usable(context)
    if whole.get("format") != contexts.FORMAT or whole.get("purpose") != purpose:
        raise ValueError("the encryption context is not of this batch's format and purpose")
    return whole
