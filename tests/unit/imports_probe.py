"""Builds one function as its host would, without asking a store, and tells what was imported. Run by a test."""

import json
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location

BEFORE = frozenset(sys.modules)

application, function = sys.argv[1:]
spec = spec_from_file_location("probed_app", application)
assert spec is not None and spec.loader is not None
module = module_from_spec(spec)
spec.loader.exec_module(module)

from sceau.stage import Settings, load_stage  # noqa: E402 - after the app, as in a host

made = load_stage(Settings.from_environ(os.environ))
if made.spec.store.adapter == "s3":
    from sceau.objects.s3.store import S3Store

    S3Store.locations = lambda *_: {}  # type: ignore[method-assign]
made.runtime(function)
loaded = sorted(name for name in sys.modules if name not in BEFORE)
sys.stdout.write(json.dumps(loaded))
