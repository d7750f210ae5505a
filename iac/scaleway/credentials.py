"""Whose credentials Terraform's two providers have: the deployer's and, by a profile, the journal administrator's.

The provider lets SCW_ACCESS_KEY and SCW_SECRET_KEY win over a profile that its block names, and says nothing when there
is no such profile (internal/meta of provider 2.x): with the deployer's key in the environment, the journal would be the
deployer's. So Terraform runs without these variables; what they hold is the default profile of a file that lives as
long as the run, beside the profiles of the user's own file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

ACCESS_KEY: Final = "SCW_ACCESS_KEY"
SECRET_KEY: Final = "SCW_SECRET_KEY"  # noqa: S105 - a variable's name
_CONFIG: Final = "SCW_CONFIG_PATH"
_TAKEN_OUT: Final = (
    ACCESS_KEY,
    SECRET_KEY,
    "SCW_PROFILE",
    # Both providers would take these for theirs, and each has a project of its own.
    "SCW_DEFAULT_PROJECT_ID",
    "SCW_DEFAULT_ORGANIZATION_ID",
    "SCW_DEFAULT_REGION",
    "SCW_DEFAULT_ZONE",
)


def config_file(environ: Mapping[str, str]) -> Path:
    """Where the host's own tools keep profiles."""
    if environ.get(_CONFIG):
        return Path(environ[_CONFIG])
    folder = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "/") / ".config")
    return Path(folder) / "scw" / "config.yaml"


def profiles(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The profiles by name; none where there is no file. Raises ValueError for what is no such file."""
    try:
        read = yaml.safe_load(config_file(environ).read_text("utf-8"))
    except OSError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError("it is no YAML") from None  # what YAML says of it would quote it
    found = (read or {}).get("profiles") if isinstance(read, dict | None) else None
    if found is not None and not isinstance(found, dict):
        raise ValueError("its profiles are no table")
    return {str(name): one for name, one in (found or {}).items() if isinstance(one, dict)}


@contextmanager
def for_terraform(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment to run Terraform in. Raises ValueError as `profiles` does."""
    own = {"access_key": environ.get(ACCESS_KEY), "secret_key": environ.get(SECRET_KEY)}
    if not all(own.values()):
        yield dict(environ)
        return
    with tempfile.TemporaryDirectory(prefix="sceau-scw-") as folder:  # mode 0700
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps({**own, "profiles": profiles(environ)}), "utf-8")  # JSON is YAML
        yield {name: value for name, value in environ.items() if name not in _TAKEN_OUT} | {_CONFIG: str(file)}
