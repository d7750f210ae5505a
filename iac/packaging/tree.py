"""A tree of files as a value: what goes into an archive, free of any disk's modes, owners, clocks and orders."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from iac.packaging.errors import BuildError


@dataclass(frozen=True, slots=True)
class File:
    """A regular file, owned by root: mode 0644, or 0755."""

    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is there even when it is empty."""

    mode: int = 0o755


Entry = File | Link | Folder
Tree = dict[str, Entry]
"""Entries by relative path with forward slashes. Folders above an entry are implied."""


def merged(*trees: Mapping[str, Entry]) -> Tree:
    """All of them in one. Raises BuildError when two differ at one path."""
    whole: Tree = {}
    for tree in trees:
        for path, entry in tree.items():
            if whole.setdefault(path, entry) != entry:
                raise BuildError(f"two parts of the package hold {path}, and differ")
    return whole


def below(prefix: str, tree: Mapping[str, Entry]) -> Tree:
    """The same tree in a folder."""
    return {f"{prefix}/{path}": entry for path, entry in tree.items()}


def kept(tree: Mapping[str, Entry], keep: Callable[[PurePosixPath], bool]) -> Tree:
    """What is to stay of it."""
    return {path: entry for path, entry in tree.items() if keep(PurePosixPath(path))}


def size(tree: Mapping[str, Entry]) -> int:
    """Bytes of all files, unpacked."""
    return sum(len(entry.data) for entry in tree.values() if isinstance(entry, File))


def to_tar(tree: Mapping[str, Entry]) -> bytes:
    """The tree as a tar: sorted, owned by root, of the first second of 1970."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, entry in _with_folders(tree):
            info = tarfile.TarInfo(path)
            match entry:
                case File(data, executable):
                    info.size, info.mode = len(data), 0o755 if executable else 0o644
                    archive.addfile(info, io.BytesIO(data))
                case Link(target):
                    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
                    archive.addfile(info)
                case Folder(mode):
                    info.type, info.mode = tarfile.DIRTYPE, mode
                    archive.addfile(info)
    return out.getvalue()


def from_tar(archive: tarfile.TarFile) -> Tree:
    """What a tar holds. Raises BuildError for what a package may not hold: devices, or a path that leads out."""
    tree: Tree = {}
    for member in archive:
        path = member.name.removeprefix("./").rstrip("/")
        if path in ("", "."):
            continue
        if path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise BuildError(f"an archive holds {path!r}, which leads out of it")
        if member.isreg():
            stream = archive.extractfile(member)
            tree[path] = File(stream.read() if stream else b"", bool(member.mode & 0o100))
        elif member.issym():
            tree[path] = Link(member.linkname)
        elif member.islnk():
            tree[path] = tree[member.linkname.removeprefix("./")]
        elif member.isdir():
            tree[path] = Folder()
        else:
            raise BuildError(f"an archive holds {path!r}, which is no file, folder or link")
    return tree


def _with_folders(tree: Mapping[str, Entry]) -> Iterator[tuple[str, Entry]]:
    implied = {str(parent) for path in tree for parent in PurePosixPath(path).parents} - {"."}
    whole: Tree = {path: Folder() for path in implied if path not in tree} | dict(tree)
    for path in sorted(whole):
        entry = whole[path]
        if path in implied and not isinstance(entry, Folder):
            raise BuildError(
                f"{path} is a {type(entry).__name__.lower()} in one part of the package, a folder in another"
            )
        yield path, entry
