"""What a container is told by its environment, beside the stage's own settings. A mistake is one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sceau.stage import SettingsError, Stage

ALL: Final = "all"
_SECRET: Final = re.compile(r"[A-Za-z0-9._~+/=-]{32,256}")
_MOST_SECRETS: Final = 2
_LARGEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """How this process serves. Which secret it needs depends on its function: `server.Container` sees to that.

    `SCEAU_FUNCTION`   a function of the chalicefile, or `all`
    `SCEAU_TRANSPORT`  `tls` (with `SCEAU_TLS_CERTIFICATE` and `SCEAU_TLS_KEY`, PEM files), or `plain`: HTTP behind a
                       front that has TLS, which then must prove itself, or `private`: HTTP on a host that lets only
                       its own front and scheduler through (Scaleway's private containers), and proves nothing to us
    `SCEAU_FRONT_SECRET` or `SCEAU_FRONT_SECRET_FILE`          what the front sends in `Sceau-Front`
    `SCEAU_SCHEDULER_SECRET` or `SCEAU_SCHEDULER_SECRET_FILE`  what the scheduler sends in `Sceau-Scheduler`
    `PORT`, `SCEAU_ADDRESS`                                    where it listens: 8080, on every address

    A secret has at least 32 characters; two, separated by white space, are both accepted while one replaces the other.
    """

    function: str
    private: bool
    certificate: Path | None
    key: Path | None
    front_secrets: tuple[str, ...] = field(repr=False)
    scheduler_secrets: tuple[str, ...] = field(repr=False)
    address: str
    port: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ContainerSettings:
        """Read and check the environment. Raises SettingsError with one sentence, never with a secret in it."""
        function = environ.get("SCEAU_FUNCTION", "")
        if not function:
            raise SettingsError("SCEAU_FUNCTION is not set: the name of a function, or `all`, is needed to start")
        certificate, key = _transport(environ)
        return cls(
            function=function,
            private=environ.get("SCEAU_TRANSPORT") == "private",
            certificate=certificate,
            key=key,
            front_secrets=_secrets(environ, "SCEAU_FRONT_SECRET"),
            scheduler_secrets=_secrets(environ, "SCEAU_SCHEDULER_SECRET"),
            # Every address: a container has its own network, and its host decides who reaches it.
            address=environ.get("SCEAU_ADDRESS") or "0.0.0.0",  # noqa: S104
            port=_port(environ.get("PORT") or "8080"),
        )

    def functions_of(self, stage: Stage) -> tuple[str, ...]:
        """The names of the functions that are served here. Raises SettingsError for one that nobody declared."""
        if self.function == ALL:
            return tuple(stage.file.functions)
        if self.function not in stage.file.functions:
            raise SettingsError(f"SCEAU_FUNCTION: the chalicefile declares no function {self.function!r}")
        return (self.function,)


def _transport(environ: Mapping[str, str]) -> tuple[Path | None, Path | None]:
    match environ.get("SCEAU_TRANSPORT"):
        case "plain" | "private":
            return None, None
        case "tls":
            return _readable(environ, "SCEAU_TLS_CERTIFICATE"), _readable(environ, "SCEAU_TLS_KEY")
        case _:
            raise SettingsError("SCEAU_TRANSPORT is not `tls`, `plain` or `private`: it is needed to start")


def _readable(environ: Mapping[str, str], name: str) -> Path:
    path = Path(environ.get(name) or "")
    if not path.is_file():
        raise SettingsError(f"{name} names no file: with SCEAU_TRANSPORT=tls it is needed to start")
    return path


def _secrets(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    text, file = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if text and file:
        raise SettingsError(f"{name} and {name}_FILE are both set: set one")
    if file:
        try:
            text = Path(file).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{name}_FILE can't be read") from None
        if not text.strip():
            raise SettingsError(f"{name}_FILE is empty")
    values = tuple(text.split())
    if len(values) > _MOST_SECRETS:
        raise SettingsError(f"{name} holds more than two secrets")
    if not all(map(_SECRET.fullmatch, values)):
        raise SettingsError(f"{name}: a secret has 32 to 256 characters, letters, digits and ._~+/=- only")
    return values


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _LARGEST_PORT:
        raise SettingsError("PORT is not a port number")
    return int(text)
