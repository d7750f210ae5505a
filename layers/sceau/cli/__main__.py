"""The `sceau` command."""

from __future__ import annotations

import sys

from sceau.cli.main import main

sys.exit(main(sys.argv[1:]))
