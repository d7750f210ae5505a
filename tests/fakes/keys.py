"""A key service that polices its callers, counts, fails and waits on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

from sceau.keys.errors import KeyServiceUnavailable
from sceau.keys.ports import KeyName, KeyService, PublicKey
from sceau.keys.scoped import KeyOperation


class MisusedKeyServiceError(AssertionError):
    """The code under test did what no code of ours may do with a key service."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, in the order of arrival; `number` counts from 1."""

    number: int
    operation: KeyOperation
    key: KeyName


def on_calls(*numbers: int) -> Callable[[Call], bool]:
    """A predicate for `fails`: the calls of these numbers."""
    return lambda call: call.number in numbers


def on(operation: KeyOperation, *keys: KeyName) -> Callable[[Call], bool]:
    """A predicate for `fails`: this operation, on these keys or on any."""
    return lambda call: call.operation is operation and (not keys or call.key in keys)


class PolicingKeys:
    """`inner`, watched.

    * `calls` lists what was called, failed calls included.
    * `fails(call)` true: the call raises KeyServiceUnavailable before it reaches `inner`. Can be set at any time.
    * `waits(call)` is called first, outside any lock: block there to hold a call, or to order two threads.
    * Misuse raises MisusedKeyServiceError, an AssertionError; `misuses` keeps it, for a test of code that may swallow
      it: an empty context; a data key wrapped twice (one per message, or one per batch); a digest not of 32 bytes.
    """

    def __init__(
        self,
        inner: KeyService,
        *,
        fails: Callable[[Call], bool] = lambda _: False,
        waits: Callable[[Call], None] = lambda _: None,
    ) -> None:
        self.inner = inner
        self.fails = fails
        self.waits = waits
        self.calls: list[Call] = []
        self.misuses: list[str] = []
        self._wrapped: set[bytes] = set()
        self._lock = Lock()

    def count(self, operation: KeyOperation | None = None, key: KeyName | None = None) -> int:
        """How many calls there were, of `operation` and on `key` if given."""
        with self._lock:
            return sum(operation in {None, call.operation} and key in {None, call.key} for call in self.calls)

    def wrap(self, key: KeyName, data_key: bytes, context: Mapping[str, str]) -> bytes:
        self._require(bool(context), "a data key was wrapped without a context")
        digest = sha256(data_key).digest()  # not the key itself: a failing test prints what it finds
        with self._lock:
            again = digest in self._wrapped
            self._wrapped.add(digest)
        self._require(not again, f"a data key was wrapped twice, now under {key}")
        self._arrive(KeyOperation.WRAP, key)
        return self.inner.wrap(key, data_key, context)

    def unwrap(self, key: KeyName, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        self._require(bool(context), "a data key was unwrapped without a context")
        self._arrive(KeyOperation.UNWRAP, key)
        return self.inner.unwrap(key, wrapped, context)

    def sign(self, key: KeyName, digest: bytes, *, version: str) -> bytes:
        self._require(len(digest) == sha256().digest_size, "what was given to sign is no SHA-256 digest")
        self._arrive(KeyOperation.SIGN, key)
        return self.inner.sign(key, digest, version=version)

    def public_keys(self, key: KeyName) -> tuple[PublicKey, ...]:
        self._arrive(KeyOperation.PUBLIC, key)
        return self.inner.public_keys(key)

    def _arrive(self, operation: KeyOperation, key: KeyName) -> None:
        with self._lock:
            call = Call(len(self.calls) + 1, operation, key)
            self.calls.append(call)
        self.waits(call)
        if self.fails(call):
            raise KeyServiceUnavailable(f"the test made call {call.number}, {operation} {key}, fail")

    def _require(self, held: bool, misuse: str) -> None:
        if not held:
            self.misuses.append(misuse)
            raise MisusedKeyServiceError(misuse)
