"""What is taken from the lock file, and trees as values: the pure parts of packaging."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from iac.packaging import debian, sources
from iac.packaging.build import ONLY_IN_CONTAINERS
from iac.packaging.errors import BuildError
from iac.packaging.lock import chosen, read_lock
from iac.packaging.tree import File, Folder, Link, Tree, below, from_tar, merged, to_tar

ROOT = Path(__file__).resolve().parents[3]
TOOLS_OF_CHALICE = {"pip", "setuptools", "wheel", "inquirer", "blessed", "pyyaml", "readchar", "runs", "editor", "xmod"}


def test_what_only_chalice_s_command_line_needs_is_not_packaged() -> None:
    lock = read_lock(ROOT / "requirements" / "runtime.txt")
    layer, image = chosen(lock, ONLY_IN_CONTAINERS), chosen(lock)
    assert {"chalice", "boto3", "botocore", "cryptography", "cffi", "pydantic-core", "lxml", "joserfc"} <= set(layer)
    assert set(image) - set(layer) == {"granian", "click", "python-pkcs11", "asn1crypto"}
    assert set(lock) >= TOOLS_OF_CHALICE
    assert not TOOLS_OF_CHALICE & set(image)
    assert not {"ansicon", "jinxed"} & set(image), "nothing of another system"


def test_a_lock_without_digests_is_none(tmp_path: Path) -> None:
    lock = tmp_path / "runtime.txt"
    lock.write_text("boto3==1.44.5\n    # via -r runtime.in\n")
    with pytest.raises(BuildError, match=r"'boto3==1\.44\.5' has no version, or no digest"):
        read_lock(lock)
    lock.write_text("# nothing\n")
    with pytest.raises(BuildError, match="locks nothing"):
        read_lock(lock)


def test_leaving_out_what_is_not_locked_is_a_mistake() -> None:
    with pytest.raises(BuildError, match="no gunicorn"):
        chosen(read_lock(ROOT / "requirements" / "runtime.txt"), ("gunicorn",))


# Trees

TREE: Tree = {"b/c": File(b"2", executable=True), "a": File(b"1"), "b/link": Link("c"), "tmp": Folder(0o1777)}


def test_a_tar_says_nothing_of_when_where_and_by_whom_it_was_made() -> None:
    data = to_tar(TREE)
    assert data == to_tar(dict(reversed(TREE.items())))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        seen = [(one.name, oct(one.mode), one.mtime, one.uid, one.gid, one.uname) for one in archive]
    assert seen == [
        ("a", "0o644", 0, 0, 0, ""),
        ("b", "0o755", 0, 0, 0, ""),
        ("b/c", "0o755", 0, 0, 0, ""),
        ("b/link", "0o777", 0, 0, 0, ""),
        ("tmp", "0o1777", 0, 0, 0, ""),
    ]


def test_parts_that_differ_at_one_path_are_no_package() -> None:
    assert merged({"a": File(b"1")}, {"a": File(b"1"), "b": File(b"")}) == {"a": File(b"1"), "b": File(b"")}
    with pytest.raises(BuildError, match="two parts of the package hold a, and differ"):
        merged({"a": File(b"1")}, {"a": File(b"2")})
    with pytest.raises(BuildError, match="a is a file in one part of the package, a folder in another"):
        to_tar(merged({"a": File(b"1")}, below("a", {"b": File(b"")})))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
def test_an_archive_that_leads_out_of_itself_is_refused(name: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    out.seek(0)
    with tarfile.open(fileobj=out) as archive, pytest.raises(BuildError, match="leads out"):
        from_tar(archive)


def test_an_archive_with_a_device_is_refused() -> None:
    out = io.BytesIO()
    info = tarfile.TarInfo("dev/mem")
    info.type = tarfile.CHRTYPE
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(info)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive, pytest.raises(BuildError, match="no file, folder or link"):
        from_tar(archive)


# The base


def test_the_base_is_locked_and_holds_no_shell() -> None:
    debs = debian.read_base_lock(ROOT / "iac" / "packaging" / "base.lock")
    names = {deb.name for deb in debs}
    assert names == set(debian.PACKAGES)
    assert not names & {"dash", "bash", "busybox", "coreutils", "dpkg", "apt", "perl-base", "curl", "wget"}


@pytest.mark.parametrize("line", ["libc6 2.41", "libc6 2.41 md5:00", "LIBC 2.41 sha256:" + "0" * 64])
def test_a_line_of_the_base_s_lock_without_a_digest_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "base.lock").write_text(line + "\n")
    with pytest.raises(BuildError, match="is no package with a version and a digest"):
        debian.read_base_lock(tmp_path / "base.lock")


def test_a_lock_of_other_packages_than_the_base_s_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.lock").write_text(f"bash 5.2 sha256:{'0' * 64}\n")
    with pytest.raises(BuildError, match="does not lock the packages of the base"):
        debian.read_base_lock(tmp_path / "base.lock")


def test_a_package_in_the_cache_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    deb = debian.Deb("libc6", "2.41", hashlib.sha256(b"right").hexdigest())
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / f"{deb.sha256}.deb").write_bytes(b"wrong")
    with pytest.raises(BuildError, match="holds another libc6 than the locked one"):
        debian.fetch_base([deb], tmp_path)
    (tmp_path / "debs" / f"{deb.sha256}.deb").write_bytes(b"right")
    assert debian.fetch_base([deb], tmp_path) == {deb: b"right"}


# Our own code


def test_what_is_for_developing_stays_at_home() -> None:
    layer, image = (sources.layer_sources(ROOT, container=container) for container in (False, True))
    assert not [path for path in layer if path.startswith("sceau/cli")]
    commands = sorted({path.split("/")[2] for path in image if path.startswith("sceau/cli/")})
    assert commands == ["__init__.py", "container", "schedule.py", "serve.py", "signals.py"]
    assert {"sceau/stage.py", "sceau_schemas/deployment.py", "sceau/fhir/tables/J07.tsv"} <= set(layer)


def test_a_file_of_another_kind_is_not_packaged_unseen(tmp_path: Path) -> None:
    (tmp_path / "layers" / "sceau").mkdir(parents=True)
    (tmp_path / "schemas" / "sceau_schemas").mkdir(parents=True)
    (tmp_path / "layers" / "sceau" / "keys.pem").write_text("x")
    with pytest.raises(BuildError, match=r"layers/sceau/keys\.pem is no kind of file that is packaged"):
        sources.layer_sources(tmp_path, container=False)
