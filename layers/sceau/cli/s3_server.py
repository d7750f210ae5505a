"""A real S3 server as a process on the loopback, for the `s3` stage and for tests: versitygw, or MinIO.

It is found on the path, or where `make s3-server` builds it. It ends with the process that started it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from sceau.cli.files import write_private
from sceau.stage import SettingsError

START_SECONDS = 20.0
_HOST = "127.0.0.1"
_KINDS = ("versitygw", "minio")

# Dies with its parent (Linux): a server left behind by a SIGKILL would hold its port.
_LAUNCH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The server's only user."""

    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def make(cls) -> Credentials:
        """New ones, random."""
        return cls(f"sceau{secrets.token_hex(7)}", secrets.token_urlsafe(30))

    def write(self, file: Path) -> None:
        """Create an AWS credentials file, and beside it `server.env` for a server in a container; both 0600.

        Raises FileExistsError.
        """
        text = f"[default]\naws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}\n"
        write_private(file, text.encode())
        variables = f"ROOT_ACCESS_KEY_ID={self.access_key}\nROOT_SECRET_ACCESS_KEY={self.secret_key}\n"
        write_private(file.parent / "server.env", variables.encode())

    @classmethod
    def read(cls, file: Path) -> Credentials:
        """Those of a file that `write` made. Raises SettingsError."""
        try:
            values = dict(line.split(" = ", 1) for line in file.read_text("utf-8").splitlines() if " = " in line)
            return cls(values["aws_access_key_id"], values["aws_secret_access_key"])
        except (OSError, KeyError, UnicodeDecodeError):
            raise SettingsError(f"the S3 server's credentials can't be read from {file}") from None


@dataclass(frozen=True, slots=True)
class Binary:
    """A server's program, and which of the two it is."""

    kind: str
    path: Path


def find_server(base: Path, kinds: tuple[str, ...] = _KINDS) -> Binary | None:
    """The first server that is there: on the path, in `build/bin` of the checkout, in Go's folder of programs."""
    folders = [base / "build" / "bin", Path(os.environ.get("GOPATH") or Path.home() / "go") / "bin"]
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    for kind in kinds:
        found = shutil.which(kind, path=path)
        if found:
            return Binary(kind, Path(found))
    return None


@dataclass(slots=True)
class S3Server:
    """A server that keeps its data in `folder` (absolute) and answers on the loopback with TLS."""

    binary: Binary
    folder: Path
    port: int
    certificate: Path
    certificate_key: Path
    credentials: Credentials
    region: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"https://{_HOST}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it speaks TLS. Raises SettingsError with one sentence."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        command, environment = self._versitygw(data) if self.binary.kind == "versitygw" else self._minio(data)
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - a program that the operator put there, no shell
                [sys.executable, "-c", _LAUNCH, str(self.binary.path), *command],
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), **environment},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._await_answer(log.name)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def _versitygw(self, data: Path) -> tuple[list[str], dict[str, str]]:
        versions = self.folder / "versions"
        versions.mkdir(exist_ok=True)
        command = ["--quiet", "--keep-alive", "--region", self.region, "--port", f"{_HOST}:{self.port}"]
        command += ["--cert", str(self.certificate), "--key", str(self.certificate_key)]
        command += ["posix", "--versioning-dir", str(versions), str(data)]
        secret = {"ROOT_SECRET_ACCESS_KEY": self.credentials.secret_key}
        return command, {"ROOT_ACCESS_KEY_ID": self.credentials.access_key, **secret}

    def _minio(self, data: Path) -> tuple[list[str], dict[str, str]]:
        certificates = self.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        shutil.copyfile(self.certificate, certificates / "public.crt")
        shutil.copyfile(self.certificate_key, certificates / "private.key")
        (certificates / "private.key").chmod(0o600)
        address = ["--address", f"{_HOST}:{self.port}", "--certs-dir", str(certificates)]
        return ["server", "--quiet", *address, str(data)], {
            "MINIO_ROOT_USER": self.credentials.access_key,
            "MINIO_ROOT_PASSWORD": self.credentials.secret_key,
            "MINIO_SITE_REGION": self.region,
            "MINIO_UPDATE": "off",
            "MINIO_BROWSER": "off",
        }

    def _await_answer(self, log_name: str) -> None:
        context = ssl.create_default_context(cafile=str(self.certificate.parent / "ca.pem"))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise SettingsError(f"the S3 server ended at its start: see {log_name} in {self.folder}")
            try:
                with (
                    socket.create_connection((_HOST, self.port), 1.0) as connection,
                    context.wrap_socket(connection, server_hostname=_HOST),
                ):
                    return
            except OSError:
                time.sleep(0.05)
        self.kill()
        raise SettingsError(f"the S3 server did not answer within {START_SECONDS:.0f} s: see {log_name}")

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
