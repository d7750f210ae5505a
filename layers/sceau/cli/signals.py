"""A signal that ends a process ends it, also when it comes just before the main thread begins to wait."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Final

_POKES: Final = 50
_APART_SECONDS: Final = 0.1


def heed_signals() -> None:
    """See to it that the main thread runs the handlers of signals, whatever it waits for. To be called in it.

    CPython only notes a signal when it comes, and runs its handler in the main thread, between two instructions. If it
    comes after the last look there and before the thread waits for a lock, or to another thread, nothing wakes the main
    one: a granian worker, which waits for an event that a handler sets, would go on serving. So a thread of ours hears
    of each signal (`signal.set_wakeup_fd`), and interrupts whatever the main one waits for, for some seconds.
    """
    main = threading.get_ident()
    signal.signal(signal.SIGURG, lambda *_: None)  # a handler, if an empty one: without it nothing is interrupted
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def poke() -> None:
        while numbers := os.read(heard, 64):
            if set(numbers) == {signal.SIGURG}:
                continue  # our own
            for _ in range(_POKES):  # again and again: the main thread may not have begun to wait yet
                signal.pthread_kill(main, signal.SIGURG)
                time.sleep(_APART_SECONDS)

    threading.Thread(target=poke, name="signals", daemon=True).start()
