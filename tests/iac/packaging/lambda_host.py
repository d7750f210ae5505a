"""Plays Lambda's runtime for one function: `lambda_host.py TASK LAYER HANDLER`, run by the locked interpreter.

Nothing is importable but the function's zip, its layer and the interpreter's own library. Reads one event a line from
standard input, and writes one line for each: the answer, or the kind of error, with what the process has used so far.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path


class Context:
    """What Lambda tells a function about a call."""

    function_name = "packaged"

    def __init__(self, request: str, remaining: int) -> None:
        self.aws_request_id = request
        self._remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining


def peak_kb() -> int:
    """The most memory that this process ever held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def strangers(task: str, layer: str) -> list[str]:
    """Modules that came from anywhere else than they may."""
    allowed = (f"{task}/", f"{layer}/python/", f"{os.environ['PYTHONHOME']}/")
    own = ("__main__", "__mp_main__")  # this script; multiprocessing gives it a second name
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return sorted(name for name, file in files.items() if file and name not in own and not file.startswith(allowed))


def main(task: str, layer: str, handler: str) -> None:
    """Import, then answer until standard input ends."""
    home = os.environ["PYTHONHOME"]
    sys.path[:] = [task, f"{layer}/python", *(path for path in sys.path if path.startswith(home))]
    os.chdir(task)
    module, name = handler.split(".")
    target = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        call = json.loads(line)
        try:
            report = {"answer": target(call["event"], Context(call["request"], call["remaining"]))}
        except Exception as error:  # noqa: BLE001 - as Lambda's runtime does
            report = {"failed": type(error).__name__}
        used = {"cpu_seconds": time.process_time(), "peak_kb": peak_kb(), "strangers": strangers(task, layer)}
        sys.stdout.write(json.dumps(report | used) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
