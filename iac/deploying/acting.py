"""Whose credentials a look at the stage is made with: the tool `operations`, not the deployer, may touch `probe/`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final

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


@contextmanager
def as_operations(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """The environment as `operations` has it, if it says how; afterwards it is as it was."""
    own = _own(environ)
    before = dict(environ)
    if own:
        for name in _DEPLOYER:
            environ.pop(f"AWS_{name}", None)
        environ.pop("SCW_SECRET_KEY", None)
        environ.update(own)
    try:
        yield
    finally:
        for name in set(environ) - set(before):
            del environ[name]
        environ.update(before)


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    if environ.get(_KEY) and environ.get(_SECRET):
        secret = environ[_SECRET]  # on Scaleway one key opens both the store and Key Manager
        return {"AWS_ACCESS_KEY_ID": environ[_KEY], "AWS_SECRET_ACCESS_KEY": secret, "SCEAU_KEY_MANAGER_SECRET": secret}
    return {"AWS_PROFILE": environ[_PROFILE]} if environ.get(_PROFILE) else {}
