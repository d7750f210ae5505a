"""What a look at the stage is made with: the credentials of the tool `operations` (the deployer may not touch
`probe/`), and which keys its infrastructure made."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sceau.keys.scaleway_http import SECRET_KEY_VARIABLE

_PROFILE: Final = "SCEAU_OPERATIONS_PROFILE"
_KEY, _SECRET = "SCEAU_OPERATIONS_ACCESS_KEY", "SCEAU_OPERATIONS_SECRET_KEY"
_DEPLOYER: Final = (
    "ACCESS_KEY_ID",
    "SECRET_ACCESS_KEY",
    "SESSION_TOKEN",
    "PROFILE",
    "ROLE_ARN",
    "WEB_IDENTITY_TOKEN_FILE",
)


def made_keys(outputs: Path, variable: str | None) -> dict[str, str]:
    """The setting that tells which keys the infrastructure made, from its `outputs`; none where all are listed."""
    if variable is None:
        return {}
    told = json.loads(outputs.read_text("utf-8"))["key_ids"]["value"]
    return {variable: json.dumps({purpose: [key] for purpose, key in told.items()}, sort_keys=True)}


def write_settings(file: Path, settings: Mapping[str, str]) -> None:
    """For a shell: `set -a; . FILE` before operations' own commands. Nothing in it is secret."""
    file.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()), "utf-8")


@contextmanager
def as_operations(settings: Mapping[str, str], environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """The environment as `operations` has it, if it says how, with these settings; afterwards it is as it was."""
    own = _own(environ)
    before = dict(environ)
    if own:
        for name in _DEPLOYER:
            environ.pop(f"AWS_{name}", None)
        environ.pop("SCW_SECRET_KEY", None)
        environ.update(own)
    environ.update(settings)
    try:
        yield
    finally:
        for name in set(environ) - set(before):
            del environ[name]
        environ.update(before)


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    if environ.get(_KEY) and environ.get(_SECRET):
        secret = environ[_SECRET]  # on Scaleway one key opens both the store and Key Manager
        return {"AWS_ACCESS_KEY_ID": environ[_KEY], "AWS_SECRET_ACCESS_KEY": secret, SECRET_KEY_VARIABLE: secret}
    return {"AWS_PROFILE": environ[_PROFILE]} if environ.get(_PROFILE) else {}
