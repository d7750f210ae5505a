"""The base: the interpreter and what it needs, from Debian's packages by their digests. No shell, no package manager.

`base.lock` names each package, its version and its digest. apt fetches them from the mirror that the machine has; what
it fetched is compared with the lock, so it does not matter which mirror, or whether its index was signed. When a mirror
has a newer version and no longer the locked one, the build ends, and `make lock-base` takes the newer one.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from iac.packaging.errors import BuildError
from iac.packaging.tree import File, Folder, Tree, from_tar, kept, merged

SUITE: Final = "trixie"
ARCHITECTURE: Final = "amd64"
PACKAGES: Final = (
    "base-files",
    "ca-certificates",
    "libbz2-1.0",
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "libssl3t64",
    "libstdc++6",
    "libuuid1",
    "libzstd1",
    "netbase",
    "python3.13-minimal",
    "zlib1g",
)
"""`libsqlite3`, `libdb` and the terminal's libraries are left out: modules that need them are not imported by us.
`libstdc++6` is for the library of an HSM, which its host mounts."""

MIRROR: Final = "SCEAU_DEBIAN_MIRROR"
"""Environment variable: Debian's mirror, for machines whose own apt has none (Ubuntu's, for one)."""

_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_LINE: Final = re.compile(r"^([a-z0-9][a-z0-9+.-]+) (\S+) sha256:([0-9a-f]{64})$")
_AR_MAGIC: Final = b"!<arch>\n"
_AR_HEADER: Final = 60
_NOT_RUN: Final = (
    "usr/share/man",
    "usr/share/locale",
    "usr/share/bug",
    "usr/share/lintian",
    "usr/share/ca-certificates",
    "usr/share/base-files",
    "usr/share/common-licenses",
    "usr/share/applications",
    "usr/share/pixmaps",
    "usr/share/binfmts",
    "usr/share/info",
    "usr/share/dict",
    "usr/share/misc",
    "usr/share/sounds",
    "usr/sbin",
    "usr/lib/binfmt.d",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/audit",
    "usr/lib/python3.13/ensurepip",
    "usr/lib/python3.13/pydoc_data",
    "usr/lib/python3.13/idlelib",
    "usr/lib/python3.13/_pyrepl",
    "etc/profile.d",
    "etc/skel",
    "etc/update-motd.d",
    "var/backups",
    "var/local",
    "root",
    "home",
    "boot",
)
"""No licence is lost: each package's own `copyright` stays in usr/share/doc."""


@dataclass(frozen=True, slots=True)
class Deb:
    """One package of the lock."""

    name: str
    version: str
    sha256: str


def read_base_lock(path: Path) -> list[Deb]:
    """The locked packages. Raises BuildError when one of PACKAGES is missing, or a line can't be read."""
    lines = [line for line in path.read_text("ascii").splitlines() if line and not line.startswith("#")]
    debs = []
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            raise BuildError(f"{path.name}: {line!r} is no package with a version and a digest")
        debs.append(Deb(match[1], match[2], match[3]))
    if sorted(deb.name for deb in debs) != sorted(PACKAGES):
        raise BuildError(f"{path.name} does not lock the packages of the base: `make lock-base` makes it anew")
    return debs


def fetch_base(debs: Iterable[Deb], cache: Path) -> dict[Deb, bytes]:
    """The packages' files. `cache` keeps them by digest."""
    debs, folder = list(debs), cache / "debs"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [deb for deb in debs if not (folder / f"{deb.sha256}.deb").is_file()]
    if missing:
        with Apt(signed=False) as apt:
            for deb, data in apt.download(missing).items():
                (folder / f"{deb.sha256}.deb").write_bytes(data)
    found = {deb: (folder / f"{deb.sha256}.deb").read_bytes() for deb in debs}
    for deb, data in found.items():
        if hashlib.sha256(data).hexdigest() != deb.sha256:
            raise BuildError(f"the build's cache holds another {deb.name} than the locked one: delete {folder.name}")
    return found


def newest_base() -> str:
    """A lock of the newest versions that the mirror has and Debian has signed."""
    with Apt(signed=True) as apt:
        lines = [f"{deb.name} {deb.version} sha256:{deb.sha256}" for deb in apt.newest(PACKAGES)]
    return "\n".join([f"# The image's base: Debian {SUITE}, {ARCHITECTURE}. Made by `make lock-base`.", *lines, ""])


class Apt:
    """apt with a root of its own: it neither reads nor changes what the machine has installed."""

    def __init__(self, *, signed: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sceau-apt-")
        self._root = Path(self._folder.name)
        self._signed = signed

    def __enter__(self) -> Apt:
        for name in ("lists/partial", "cache/archives/partial", "debs"):
            (self._root / name).mkdir(parents=True)
        self._root.chmod(0o755)  # apt fetches as a user of its own
        mirror = os.environ.get(MIRROR) or self._machines_mirror()
        trust = f"signed-by={_KEYRING}" if self._signed else "trusted=yes"
        suites = ((mirror, SUITE), (mirror, f"{SUITE}-updates"), (f"{mirror}-security", f"{SUITE}-security"))
        lines = [f"deb [arch={ARCHITECTURE} {trust}] {address} {suite} main" for address, suite in suites]
        (self._root / "sources.list").write_text("\n".join(lines) + "\n")
        self._run("update")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def newest(self, names: Iterable[str]) -> list[Deb]:
        """The newest version of each package, in their order of names."""
        return sorted(self._offered(self._run("--print-uris", "download", *names)).values(), key=lambda deb: deb.name)

    def download(self, debs: Iterable[Deb]) -> dict[Deb, bytes]:
        """Packages' files, compared with the lock."""
        wanted = list(debs)
        try:
            said = self._run("--print-uris", "download", *(f"{deb.name}={deb.version}" for deb in wanted))
        except BuildError as error:
            raise BuildError(
                f"the mirror no longer has what is locked: `make lock-base` takes the newest versions ({error})"
            ) from None
        self._run("download", *(f"{deb.name}={deb.version}" for deb in wanted), cwd=self._root / "debs")
        found = {}
        for file, offered in self._offered(said).items():
            data = (self._root / "debs" / file).read_bytes()
            (deb,) = [one for one in wanted if one.name == offered.name]
            if hashlib.sha256(data).hexdigest() != deb.sha256:
                raise BuildError(f"the mirror's {deb.name} {deb.version} is not the locked one")
            found[deb] = data
        return found

    @staticmethod
    def _offered(said: str) -> dict[str, Deb]:
        """What apt would fetch, by the name of the file that it makes: `name_version_architecture.deb`."""
        found = {}
        for file, sha256 in re.findall(r"^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})$", said, re.MULTILINE):
            name, version, _ = file.split("_")
            found[file] = Deb(name, version.replace("%3a", ":"), sha256)
        return found

    def _machines_mirror(self) -> str:
        try:
            said = subprocess.run(
                ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],  # noqa: S607
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        except (OSError, subprocess.CalledProcessError):
            raise BuildError("the base is fetched with apt, which this machine does not have") from None
        for line in said.splitlines():
            address = line.rstrip("/")
            if address.endswith("/debian"):
                return address
        raise BuildError(f"this machine's apt has no mirror of Debian: set {MIRROR}")

    def _run(self, *arguments: str, cwd: Path | None = None) -> str:
        options = {
            "Dir::Etc::sourcelist": str(self._root / "sources.list"),
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": str(self._root),
            "Dir::State::status": "/dev/null",
            "Dir::Cache": str(self._root / "cache"),
            "APT::Architecture": ARCHITECTURE,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        }
        given = [option for name, value in options.items() for option in ("-o", f"{name}={value}")]
        try:
            done = subprocess.run(  # noqa: S603 - apt, with our own arguments
                ["apt-get", "-qq", *given, *arguments],  # noqa: S607 - the machine's own apt
                cwd=cwd,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError:
            raise BuildError("the base is fetched with apt, which this machine does not have") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            raise BuildError(f"apt could not do it: {lines[0] if lines else 'it said nothing'}")
        return done.stdout


def unpacked(files: dict[Deb, bytes]) -> Tree:
    """The packages' files as they are installed, less what nothing runs, and a list of them for scanners."""
    trees, status = [], {}
    for deb, data in files.items():
        members = dict(_ar(data, deb.name))
        trees.append(_tar_of(members, "data.tar", deb.name))
        control = _tar_of(members, "control.tar", deb.name)["control"]
        status[f"var/lib/dpkg/status.d/{deb.name}"] = control
    whole = merged(*trees, status)
    certificates = [entry for path, entry in sorted(whole.items()) if path.startswith("usr/share/ca-certificates/")]
    whole = kept(whole, _runs)
    whole["etc/ssl/certs/ca-certificates.crt"] = File(
        b"".join(one.data for one in certificates if isinstance(one, File))
    )
    return whole


def _runs(path: PurePosixPath) -> bool:
    if any(path.is_relative_to(folder) for folder in _NOT_RUN):
        return False
    if path.is_relative_to("usr/share/doc"):
        return path.name == "copyright"
    return path.suffix != ".a"


def system_files(user: int) -> Tree:
    """What a system without a package manager's scripts still needs: users, name look-up, empty folders."""
    nobody = "/nonexistent:/usr/sbin/nologin"
    text = {
        "etc/passwd": f"root:x:0:0:root:{nobody}\nsceau:x:{user}:{user}:sceau:{nobody}\n",
        "etc/group": f"root:x:0:\nsceau:x:{user}:\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    folders: Tree = {name: Folder() for name in ("dev", "proc", "run", "sys")}
    return {name: File(content.encode()) for name, content in text.items()} | folders | {"tmp": Folder(0o1777)}


def _ar(data: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    """The members of a .deb, which is an `ar` archive of three."""
    if not data.startswith(_AR_MAGIC):
        raise BuildError(f"{name} is no Debian package")
    at = len(_AR_MAGIC)
    while at + _AR_HEADER <= len(data):
        head = data[at : at + _AR_HEADER]
        length = int(head[48:58])
        yield head[:16].decode("ascii").strip().rstrip("/"), data[at + _AR_HEADER : at + _AR_HEADER + length]
        at += _AR_HEADER + length + length % 2


def _tar_of(members: dict[str, bytes], kind: str, name: str) -> Tree:
    for member, data in members.items():
        if member.startswith(kind):
            try:
                with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                    return from_tar(archive)
            except tarfile.TarError:
                raise BuildError(f"{name}: {member} can't be read") from None
    raise BuildError(f"{name} has no {kind}")
