"""A PKCS#11 module of the process: initialised for threads, used by many, started again by one.

python-pkcs11 calls `C_Initialize(NULL)`, which promises the module that no two threads will call it at once, and then
releases the interpreter's lock around each call: SoftHSM turns its own locks off and crashes within a second of use by
16 threads. So `C_Initialize` is called here, with CKF_OS_LOCKING_OK (PKCS #11 v2.40, 5.4), through ctypes.

A module can be initialised once in a process; whoever wants it shares it (`shared_library`). Started again
(`C_Finalize`, `C_Initialize`), it forgets every session, whoever opened it: that waits until nobody is inside, and
raises `epoch`, by which holders of sessions see that theirs are void.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pkcs11 import _pkcs11
from pkcs11.exceptions import PKCS11Error

from sceau.keys.errors import KeyServiceNotUsable, KeyServiceUnavailable

_OK: Final = 0x0
_CANT_LOCK: Final = 0xA
_ALREADY_INITIALIZED: Final = 0x191
_OS_LOCKING_OK: Final = 0x2
_SOFTHSM: Final = "SOFTHSM2_CONF"
_USER_STATES: Final = {1, 3}  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS

WAIT_SECONDS: Final = 5.0
"""How long a restart waits for calls under way, and a call for a restart."""


class _FunctionListHead(ctypes.Structure):
    """The beginning of CK_FUNCTION_LIST: C_Initialize and C_Finalize, and, 13 functions later, C_GetSessionInfo."""

    _fields_ = (
        ("version", ctypes.c_ubyte * 2),
        ("initialize", ctypes.c_void_p),
        ("finalize", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 13),
        ("session_info", ctypes.c_void_p),
    )


class _InitializeArguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS: four callbacks that we don't give, flags, and a reserved pointer."""

    _fields_ = (("callbacks", ctypes.c_void_p * 4), ("flags", ctypes.c_ulong), ("reserved", ctypes.c_void_p))


class _SessionInfo(ctypes.Structure):
    """CK_SESSION_INFO."""

    _fields_ = tuple((name, ctypes.c_ulong) for name in ("slot", "state", "flags", "device_error"))


class _ThreadedLibrary(_pkcs11.lib):
    """python-pkcs11's library, its initialisation left to us."""

    def initialize(self) -> None:
        """Nothing: `Library` has done it."""


class Library:
    """The module at `path`. Raises KeyServiceNotUsable, a sentence, when it can't be loaded or used by threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gate = threading.Condition()
        self._inside = 0
        self._restarting = False
        self.epoch = 0
        """How often it was started again."""
        try:
            functions = ctypes.POINTER(_FunctionListHead)()
            ctypes.CDLL(str(path)).C_GetFunctionList(ctypes.byref(functions))
            head = functions.contents
        except (OSError, AttributeError, ValueError):
            raise KeyServiceNotUsable(f"{path} can't be loaded as a PKCS#11 module") from None
        self._initialize_function = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)(head.initialize)
        self._finalize_function = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)(head.finalize)
        information = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p)
        self._information_function = information(head.session_info)
        self._initialize()
        try:
            self._module: Any = _ThreadedLibrary(str(path))
        except PKCS11Error as error:
            raise KeyServiceNotUsable(f"the PKCS#11 module {path} did not start: {kind(error)}") from None
        # It stays until the process ends: freed while the interpreter closes, it would miss its own methods.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._module))

    @contextmanager
    def used(self) -> Iterator[Any]:
        """The module, for calls: not started again meanwhile. Raises KeyServiceUnavailable while a restart hangs."""
        with self._gate:
            if not self._gate.wait_for(lambda: not self._restarting, WAIT_SECONDS):
                raise KeyServiceUnavailable("the PKCS#11 module is being started again, and does not come back")
            self._inside += 1
        try:
            yield self._module
        finally:
            with self._gate:
                self._inside -= 1
                self._gate.notify_all()

    def is_logged_in(self, session: Any) -> bool:
        """Whether a session of python-pkcs11's is there, and its user logged in (inside `used`).

        A session whose login has ended is not told so: it just finds no private objects any more.
        """
        found = _SessionInfo()
        answer = self._information_function(session.handle, ctypes.byref(found))
        return answer == _OK and found.state in _USER_STATES

    def restart(self, epoch: int) -> None:
        """Start it again, unless another thread did since `epoch`. Not from inside `used`.

        Raises KeyServiceUnavailable, having done nothing, when calls under way don't end in time, or it won't start.
        """
        with self._gate:
            self._gate.wait_for(lambda: not self._restarting, WAIT_SECONDS)
            if self.epoch != epoch:
                return
            if self._restarting:
                raise KeyServiceUnavailable("the PKCS#11 module hangs")
            self._restarting = True  # from here on nobody enters: callers must not keep it busy for ever
            idle = self._gate.wait_for(lambda: not self._inside, WAIT_SECONDS)
        try:
            if not idle:
                raise KeyServiceUnavailable("the PKCS#11 module hangs")
            self._finalize_function(None)  # what it answers does not matter: the next call tells
            self.epoch += 1
            self._initialize()
        except KeyServiceNotUsable as error:
            raise KeyServiceUnavailable(str(error)) from None
        finally:
            with self._gate:
                self._restarting = False
                self._gate.notify_all()

    def use_softhsm(self, configuration: Path) -> None:
        """Where SoftHSM finds its tokens: it reads that when it is started, from the environment, and never again."""
        if self._softhsm != str(configuration):
            os.environ[_SOFTHSM] = str(configuration)
            self.restart(self.epoch)

    def _initialize(self) -> None:
        self._softhsm = os.environ.get(_SOFTHSM)
        arguments = _InitializeArguments(flags=_OS_LOCKING_OK)
        answer = self._initialize_function(ctypes.byref(arguments))
        if answer == _CANT_LOCK:
            raise KeyServiceNotUsable(f"the PKCS#11 module {self._path} can't be used by several threads")
        if answer not in {_OK, _ALREADY_INITIALIZED}:
            raise KeyServiceNotUsable(f"the PKCS#11 module {self._path} did not start: it answered {answer:#x}")


def find_module(base: Path, module: Path) -> Path:
    """Where a declared module is: a path below `base` or of the system's; a bare name, where systems keep SoftHSM's.

    Raises KeyServiceNotUsable with a sentence when a bare name is nowhere.
    """
    if len(module.parts) > 1:
        return base / module
    found = next((Path(folder) / module for folder in _FOLDERS if (Path(folder) / module).is_file()), None)
    if found is None:
        raise KeyServiceNotUsable(
            f"the PKCS#11 module {module} is not installed here (SoftHSM2: apt-get install softhsm2; "
            "elsewhere, write its whole path into the chalicefile)"
        )
    return found


def kind(error: Exception) -> str:
    """A PKCS#11 error by its kind: messages of modules may quote anything."""
    return type(error).__name__


_FOLDERS = (
    "/usr/lib/softhsm",
    "/usr/lib/x86_64-linux-gnu/softhsm",
    "/usr/lib/aarch64-linux-gnu/softhsm",
    "/usr/lib64/softhsm",
    "/usr/lib64/pkcs11",
    "/usr/local/lib/softhsm",
    "/opt/homebrew/lib/softhsm",
)

_libraries: dict[Path, Library] = {}
_libraries_lock = threading.Lock()


def shared_library(path: Path, softhsm: Path | None = None) -> Library:
    """The process's one `Library` for the module at `path`. Raises KeyServiceNotUsable.

    `softhsm`: SoftHSM's configuration, known before its first start: where the system has none (an image has none), it
    does not start without one.
    """
    path = path.resolve()
    with _libraries_lock:
        if path not in _libraries:
            if softhsm is not None:
                os.environ[_SOFTHSM] = str(softhsm)
            _libraries[path] = Library(path)
        library = _libraries[path]
    if softhsm is not None:
        library.use_softhsm(softhsm)
    return library
