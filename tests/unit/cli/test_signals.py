"""A process that waits hears of the signal that ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

WAITS = """
import signal, sys, threading
from sceau.cli.signals import heed_signals
main, done = threading.main_thread().ident, threading.Event()

def tell():
    pause = threading.Event()
    while sys._current_frames()[main].f_code.co_name != "wait":
        pause.wait(0.01)
    pause.wait(0.2)  # and now it does wait
    print("waits", flush=True)
    pause.wait()

signal.signal(signal.SIGTERM, lambda *_: done.set())
heed_signals()
threading.Thread(target=tell, daemon=True).start()
# Another thread gets the signal: it is noted, and nothing wakes this one, as if it had come just before the wait.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
done.wait()
print("ends", flush=True)
"""


def test_a_signal_that_wakes_nobody_ends_the_wait_all_the_same() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waits\n"
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=120)[0] == "ends\n"
            assert process.returncode == 0
        finally:
            process.kill()
