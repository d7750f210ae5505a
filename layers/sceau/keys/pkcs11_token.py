"""A token of a PKCS#11 module: logged in once, a session for each thread, found again when it was gone.

A process logs in to a token, not a session: whoever closes a session that logged in logs all others out. So one session
logs in and stays (the anchor); those that work are opened without a PIN and lent out, each to one thread at a time.

When a call fails as if token or session were gone, what this process had open is given up, and the call is made again:
first with new sessions, then with the module started again (network HSMs' clients need it, and SoftHSM to see a token
that was put back). A wrong PIN is never tried twice, and a last try never made: three wrong ones lock most HSMs.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pkcs11 import TokenFlag
from pkcs11.exceptions import (
    MultipleTokensReturned,
    NoSuchToken,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
    UserPinNotInitialized,
)

from sceau.keys.errors import KeyServiceNotUsable, KeyServiceUnavailable
from sceau.keys.pkcs11_library import WAIT_SECONDS, Library, kind, shared_library

SESSIONS: Final = 32
"""Sessions that work at the same time, at most: twice the threads of a server's process."""

RESTART_SECONDS: Final = 5.0
"""The module is started again at most this often for a token that does not come back."""

_ATTEMPTS: Final = 3
_LONGEST_PIN: Final = 256
_PIN_REFUSED = (PinIncorrect, PinInvalid, PinLenRange, PinExpired, PinLocked, UserPinNotInitialized)

ResultT = TypeVar("ResultT")


class TokenLost(Exception):
    """Raised by work done in a session: it failed as if token, session or objects were gone. Tried again elsewhere."""


@dataclass(frozen=True, slots=True)
class PinSource:
    """Where the PIN is: a file that others may not read (read at each login), or a descriptor (read once)."""

    file: Path | None = None
    descriptor: int | None = None

    def read(self) -> str:
        """The PIN. Raises KeyServiceNotUsable, a sentence that does not quote it."""
        if self.file is None:
            return _descriptor_pin(self.descriptor if self.descriptor is not None else -1)
        try:
            descriptor = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise KeyServiceNotUsable(f"the PIN file {self.file} can't be opened: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as opened:
            if os.fstat(descriptor).st_mode & stat.S_IRWXO:
                raise KeyServiceNotUsable(f"the PIN file {self.file} is open to everybody: chmod o-rwx it")
            return _pin_text(opened.read(_LONGEST_PIN + 2), f"the PIN file {self.file}")


@dataclass(slots=True)
class Session:
    """A session lent to one thread. `kept` is the borrower's own: it stays with the session, and is lost with it."""

    raw: Any
    library: Library
    kept: dict[str, Any] = field(default_factory=dict)

    def require_login(self) -> None:
        """Raise TokenLost when the login has ended: before objects are looked for, since private ones then hide."""
        if not self.library.is_logged_in(self.raw):
            raise TokenLost("nobody is logged in any more")


@dataclass(slots=True)
class _Connection:
    """What one login opened. `epoch`: the library's, at that time."""

    token: Any
    anchor: Any
    epoch: int
    idle: list[Session] = field(default_factory=list)


class Token:
    """The token of `label` in `library`. Safe under threads. One for each token in a process: see `shared_token`.

    `monotonic` (seconds) says how long ago the module was last started again for it.
    """

    def __init__(
        self, library: Library, label: str, pin: PinSource, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._library = library
        self._label = label
        self._pin = pin
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(SESSIONS)
        self._connection: _Connection | None = None
        self._refused_pin: bytes | None = None
        self._restarted: float | None = None

    def connect(self) -> frozenset[Any]:
        """Log in, unless that was done; return the mechanisms that the token offers.

        Raises KeyServiceNotUsable, a sentence for who starts the process; KeyServiceUnavailable.
        """
        with self._library.used() as module:
            try:
                return frozenset(self._connected(module).token.slot.get_mechanisms())
            except TokenLost as lost:
                raise KeyServiceNotUsable(str(lost)) from None
            except PKCS11Error as error:
                raise KeyServiceNotUsable(f"the token {self._label} does not answer: {kind(error)}") from None

    def run(self, work: Callable[[Session], ResultT], *, writing: bool = False) -> ResultT:
        """Do `work` in a session of its own; again, elsewhere, when it raises TokenLost. `writing`: a R/W session.

        Raises KeyServiceUnavailable when the token does not come back or can't be logged in to, and what `work` raises.
        """
        reason = ""
        for attempt in range(_ATTEMPTS):
            epoch = self._library.epoch
            try:
                with self._lent(writing=writing) as session:
                    return work(session)
            except TokenLost as lost:
                reason = str(lost)
            if attempt == 1 and not self._restart(epoch):
                break
        raise KeyServiceUnavailable(f"the token {self._label} is gone, or does not work: {reason}")

    def look_again(self) -> None:
        """Make sessions of this process forget what they found: it has changed objects itself."""
        with self._lock:
            for session in self._connection.idle if self._connection else ():
                session.kept.clear()

    def _restart(self, epoch: int) -> bool:
        """Start the module again, but not at every request while an HSM is down: other tokens may be in it."""
        now = self._monotonic()
        with self._lock:
            if self._restarted is not None and now - self._restarted < RESTART_SECONDS:
                return False
            self._restarted = now
        self._library.restart(epoch)
        return True

    @contextmanager
    def _lent(self, *, writing: bool) -> Iterator[Session]:
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise KeyServiceUnavailable(f"all {SESSIONS} sessions of the token {self._label} are in use")
        try:
            with self._library.used() as module:
                connection = self._reconnected(module)
                try:
                    session = self._session(connection, writing=writing)
                    try:
                        yield session
                    finally:
                        self._take_back(connection, session, writing=writing)
                except TokenLost:
                    self._give_up(connection)
                    raise
        finally:
            self._places.release()

    def _session(self, connection: _Connection, *, writing: bool) -> Session:
        with self._lock:
            if connection.idle and not writing:
                return connection.idle.pop()
        try:
            return Session(connection.token.open(rw=writing), self._library)
        except PKCS11Error as error:
            raise TokenLost(f"no session ({kind(error)})") from None

    def _take_back(self, connection: _Connection, session: Session, *, writing: bool) -> None:
        with self._lock:
            if connection is self._connection and not writing:
                connection.idle.append(session)
                return
        with suppress(PKCS11Error):  # it never logged in, so closing it logs nobody out
            session.raw.close()

    def _reconnected(self, module: Any) -> _Connection:
        try:
            return self._connected(module)
        except KeyServiceNotUsable as error:
            raise KeyServiceUnavailable(str(error)) from None  # it was usable when the process began

    def _connected(self, module: Any) -> _Connection:
        with self._lock:
            connection = self._connection
            if connection is None or connection.epoch != self._library.epoch:
                connection = self._connection = self._login(module)
            return connection

    def _login(self, module: Any) -> _Connection:
        try:
            token = module.get_token(token_label=self._label)
        except NoSuchToken:
            raise TokenLost(f"the PKCS#11 module has no token labelled {self._label}") from None
        except MultipleTokensReturned:
            raise KeyServiceNotUsable(f"the PKCS#11 module has several tokens labelled {self._label}") from None
        except PKCS11Error as error:
            raise TokenLost(f"the token {self._label} does not answer: {kind(error)}") from None
        complaint = locked(token.flags)
        if complaint:
            raise KeyServiceNotUsable(f"the token {self._label} {complaint}")
        pin = self._pin.read()
        digest = hashlib.sha256(pin.encode()).digest()
        if digest == self._refused_pin:
            raise KeyServiceNotUsable(f"the token {self._label} refused this PIN before: it is not tried again")
        try:
            anchor = _opened(token, pin)
        except _PIN_REFUSED as error:
            self._refused_pin = digest
            raise KeyServiceNotUsable(f"the token {self._label} refused the PIN: {kind(error)}") from None
        except PKCS11Error as error:
            raise TokenLost(f"the token {self._label} does not let us log in: {kind(error)}") from None
        return _Connection(token, anchor, self._library.epoch)

    def _give_up(self, connection: _Connection) -> None:
        """Close what `connection` has open, if it is still the present one: the next call logs in anew."""
        with self._lock:
            if connection is not self._connection:
                return
            self._connection = None
            for raw in (*(session.raw for session in connection.idle), connection.anchor):
                with suppress(PKCS11Error):  # what is gone can't be closed
                    raw.close()  # the anchor's logs out, so that the next login is made, with the PIN


def locked(flags: TokenFlag) -> str | None:
    """Why nobody should log in now, if so."""
    if not flags & TokenFlag.TOKEN_INITIALIZED:
        return "is not initialised"
    if not flags & TokenFlag.USER_PIN_INITIALIZED:
        return "has no user PIN"
    if flags & TokenFlag.USER_PIN_LOCKED:
        return "is locked: too many wrong PINs; its security officer must set a new one"
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        return "would lock at the next wrong PIN: log in once by hand with the right one"
    return None


def _opened(token: Any, pin: str) -> Any:
    try:
        return token.open(user_pin=pin)
    except UserAlreadyLoggedIn:
        # Another holder of this token in the process, or a login that outlived a lost session: it serves all.
        return token.open()


def _descriptor_pin(descriptor: int) -> str:
    """Read to its end and closed, once; kept for later logins."""
    with _pins_lock:
        if descriptor not in _pins:
            try:
                with os.fdopen(descriptor, "rb") as opened:
                    data = opened.read(_LONGEST_PIN + 2)
            except OSError as error:
                raise KeyServiceNotUsable(f"the PIN can't be read from {descriptor}: {error.strerror}") from None
            _pins[descriptor] = _pin_text(data, f"descriptor {descriptor}")
        return _pins[descriptor]


def _pin_text(data: bytes, where: str) -> str:
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if not line or len(line) > _LONGEST_PIN or b"\n" in line:
        raise KeyServiceNotUsable(f"{where} does not hold one line with the PIN")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise KeyServiceNotUsable(f"{where} does not hold a PIN in UTF-8") from None


_pins: dict[int, str] = {}
_pins_lock = threading.Lock()
_tokens: dict[tuple[Library, str, PinSource], Token] = {}
_tokens_lock = threading.Lock()


def shared_token(module: Path, label: str, pin: PinSource) -> Token:
    """The process's one `Token` of that label and PIN: a login is the process's, whoever makes it.

    Raises KeyServiceNotUsable when the module can't be loaded.
    """
    place = (shared_library(module), label, pin)
    with _tokens_lock:
        if place not in _tokens:
            _tokens[place] = Token(*place)
        return _tokens[place]
