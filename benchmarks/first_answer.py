"""One function in a process of its own: imported, then asked once. Run by path, so that nothing else is imported.

`first_answer.py APP` reads an API Gateway event from standard input (null: a scheduled function, which is run), and
prints the milliseconds that importing and answering took, the status, and the resident memory in MB.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


class _Context:
    """What the host tells a function."""

    function_name = "measured"
    aws_request_id = "first"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def main() -> None:
    """Import, answer, report."""
    event = json.load(sys.stdin)
    started = time.perf_counter()
    spec = spec_from_file_location("app", sys.argv[1])
    if spec is None or spec.loader is None:
        raise SystemExit(f"{sys.argv[1]} can't be imported")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    app: Any = module.app
    imported = time.perf_counter()
    status = app(event, _Context())["statusCode"] if event else (app.run(), 200)[1]
    answered = time.perf_counter()
    memory = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    report = {
        "import_ms": (imported - started) * 1000,
        "answer_ms": (answered - imported) * 1000,
        "status": status,
        "memory_mb": int(memory.split()[1]) / 1024,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
