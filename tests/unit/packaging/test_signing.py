"""The digest list and its signature: what was changed, added or taken away is found, and OpenSSL agrees."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from iac.packaging import signing
from iac.packaging.errors import BuildError
from iac.packaging.interpreter import write_tree
from iac.packaging.tree import File, Tree

FILES: Tree = {"layer.zip": File(b"layer"), "image/blobs/sha256/00": File(b"blob"), "manifest.json": File(b"{}")}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    write_tree(FILES | {signing.DIGESTS: File(signing.digest_list(FILES))}, folder)
    return folder


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key, as PEM files."""
    return _write(tmp_path, ec.generate_private_key(ec.SECP256R1()), NoEncryption())


def _write(folder: Path, key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> tuple[Path, Path]:
    private, public = folder / "key.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_a_signed_package_is_right(package: Path, keys: tuple[Path, Path]) -> None:
    signing.sign(package, keys[0], None)
    signing.verify(package, keys[1])


def test_sha256sum_reads_the_list(package: Path) -> None:
    assert shutil.which("sha256sum")
    subprocess.run(["sha256sum", "--check", "--strict", signing.DIGESTS], cwd=package, check=True, capture_output=True)


def test_openssl_checks_the_signature(package: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not there")
    signing.sign(package, keys[0], None)
    (tmp_path / "raw").write_bytes(base64.b64decode((package / signing.SIGNATURE).read_bytes()))
    command = [openssl, "dgst", "-sha256", "-verify", str(keys[1]), "-signature", str(tmp_path / "raw")]
    done = subprocess.run([*command, str(package / signing.DIGESTS)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "Verified OK\n")


def changed(package: Path) -> None:
    (package / "layer.zip").write_bytes(b"other")


def added(package: Path) -> None:
    (package / "image" / "more").write_bytes(b"")


def taken(package: Path) -> None:
    (package / "manifest.json").unlink()


def relisted(package: Path) -> None:
    changed(package)
    files: Tree = FILES | {"layer.zip": File(b"other")}
    (package / signing.DIGESTS).write_bytes(signing.digest_list(files))


def unsigned(package: Path) -> None:
    (package / signing.SIGNATURE).unlink()


def garbled(package: Path) -> None:
    (package / signing.SIGNATURE).write_text("é")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (changed, "layer.zip is not what the digest list says"),
        (added, "image/more is on the digest list or in the package, but not in both"),
        (taken, "manifest.json is on the digest list or in the package, but not in both"),
        (relisted, "the digest list is not what was signed"),
        (unsigned, "SHA256SUMS.sig is missing: the package is not signed, or not whole"),
        (garbled, "the public key or the signature can't be read"),
    ],
)
def test_a_package_that_was_tampered_with_is_found(
    what: object, said: str, package: Path, keys: tuple[Path, Path]
) -> None:
    signing.sign(package, keys[0], None)
    assert callable(what)
    what(package)
    with pytest.raises(BuildError) as found:
        signing.verify(package, keys[1])
    assert str(found.value) == said


def test_another_key_s_signature_is_none(package: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    signing.sign(package, keys[0], None)
    (tmp_path / "other").mkdir()
    _, other = _write(tmp_path / "other", ec.generate_private_key(ec.SECP256R1()), NoEncryption())
    with pytest.raises(BuildError, match="not what was signed"):
        signing.verify(package, other)


def test_a_key_with_a_password_needs_it(package: Path, tmp_path: Path) -> None:
    private, public = _write(tmp_path, ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"word"))
    for wrong in (None, b"other"):
        with pytest.raises(BuildError, match="its password is wrong"):
            signing.sign(package, private, wrong)
    assert not (package / signing.SIGNATURE).exists()
    signing.sign(package, private, b"word")
    signing.verify(package, public)


def test_a_key_of_another_kind_does_not_sign(package: Path, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(BuildError, match="not an ECDSA key on P-256"):
        signing.sign(package, tmp_path / "key.pem", None)
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(BuildError, match="no PEM key"):
        signing.sign(package, tmp_path / "key.pem", None)
    with pytest.raises(BuildError, match="can't be read"):
        signing.sign(package, tmp_path / "absent.pem", None)


def test_what_is_damaged_is_not_signed(package: Path, keys: tuple[Path, Path]) -> None:
    changed(package)
    with pytest.raises(BuildError, match="is not what the digest list says"):
        signing.sign(package, keys[0], None)
    with pytest.raises(BuildError, match="there is no package in nowhere"):
        signing.sign(package.parent / "nowhere", keys[0], None)
