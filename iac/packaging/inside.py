"""Run by the locked interpreter, not by the one that builds: compiles and compresses, as its own versions do.

Bytecode belongs to one version of Python, and what a compressor makes of the same bytes differs from one zlib to the
next. So both are done by the interpreter that the package will run on, from Debian's packages by their digests, and
come out the same on every machine. Nothing but the standard library is there.

`inside.py compile PREFIX`, `inside.py gzip`, `inside.py zip`: a tar comes in on standard input, the result goes out.
PREFIX is the folder that the tree will stand in: the paths in tracebacks.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import marshal
import sys
import tarfile
import zipfile
from pathlib import PurePosixPath

_MAGIC = importlib.util.MAGIC_NUMBER
_UNCHECKED_HASH = (1).to_bytes(4, "little")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip knows."""


def compiled(data: bytes, prefix: str) -> bytes:
    """The same tar, each module's bytecode beside it: never compared with its source, which never changes."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as source,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        made: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
        for member in source:
            made[member.name] = (member, _content(source, member))
        for name, (_, text) in list(made.items()):
            if name.endswith(".py"):
                path = PurePosixPath(name)
                cached = str(path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc")
                folder = tarfile.TarInfo(str(path.parent / "__pycache__"))
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                made.setdefault(folder.name, (folder, b""))
                made[cached] = (tarfile.TarInfo(cached), _bytecode(text, f"{prefix}/{name}"))
        for name in sorted(made):
            member, text = made[name]
            member.size = len(text)
            target.addfile(member, io.BytesIO(text))
    return out.getvalue()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A regular file's bytes; nothing for a link or a folder."""
    stream = archive.extractfile(member) if member.isreg() else None
    return stream.read() if stream else b""


def _bytecode(source: bytes, path: str) -> bytes:
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    return _MAGIC + _UNCHECKED_HASH + importlib.util.source_hash(source) + marshal.dumps(code)


def zipped(data: bytes) -> bytes:
    """The tar's files as a zip. Links are left out: Lambda's zips hold none."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
    ):
        for member in source:
            if member.isreg():
                info = zipfile.ZipInfo(member.name, _EPOCH)
                info.create_system, info.external_attr = 3, (0o100000 | member.mode) << 16
                target.writestr(info, _content(source, member), zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()


def main(arguments: list[str]) -> None:
    """Do one of the three."""
    data = sys.stdin.buffer.read()
    match arguments:
        case ["compile", prefix]:
            result = compiled(data, prefix)
        case ["gzip"]:
            result = gzip.compress(data, 9, mtime=0)
        case ["zip"]:
            result = zipped(data)
        case _:
            raise SystemExit("inside.py compile PREFIX | gzip | zip")
    sys.stdout.buffer.write(result)


if __name__ == "__main__":
    main(sys.argv[1:])
