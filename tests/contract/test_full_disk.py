"""A real S3 server whose disk is full: a small file system of memory is its folder (Linux, root)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import pytest

from fixtures.s3_servers import Place, place_of, running
from sceau.objects.errors import ObjectAbsent, ObjectStoreUnavailable

MEGABYTE = 1 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 16 MB at `folder`. Skips where this process may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can't be mounted here: a full disk of a real server was not tried")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with small_disk(tmp_path / "disk"), running("versitygw", tmp_path / "disk" / "server") as server:
        made = place_of(server)
        made.make()
        yield made


@contextmanager
def filled(place: Place) -> Iterator[None]:
    """Nothing more fits on the server's disk."""
    filler = place.base / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (MEGABYTE, 4096, 1):
            with suppress(OSError):
                while file.write(os.urandom(size)) == size:
                    pass
    yield
    filler.unlink()


@pytest.mark.slow
def test_on_a_full_disk_a_write_is_refused_in_words_and_nothing_of_it_is_there(place: Place) -> None:
    store = place.store()
    dossier, document = f"records/{token_hex(13)}/dossier", f"records/{token_hex(13)}/documents/a"
    tag = store.replace(dossier, b"before", expected=None)
    with filled(place):
        with pytest.raises(ObjectStoreUnavailable) as created:
            store.create(document, os.urandom(MEGABYTE))
        with pytest.raises(ObjectStoreUnavailable) as replaced:
            store.replace(dossier, os.urandom(MEGABYTE), expected=tag)
        assert store.read(dossier).data == b"before"
        with pytest.raises(ObjectAbsent):
            store.read(document)
    for refused in (created, replaced):
        assert str(refused.value).endswith("the store's disk is full (InsufficientStorage)")
    assert store.read(dossier).tag == tag
    store.replace(dossier, b"after", expected=tag)
    store.create(document, b"after")
    assert store.read(document).data == store.read(dossier).data == b"after"
