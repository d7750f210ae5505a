"""The digest list of a package, its signature, and their check.

The list is what `sha256sum --check` reads; the signature is ECDSA on P-256 over SHA-256, in base64, as OpenSSL checks
it. A deployment is by digest, so who signs the list signs the image, the zips and the bill of materials.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from iac.packaging.errors import BuildError
from iac.packaging.tree import File, Tree

DIGESTS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.sig"


def digest_list(files: Tree) -> bytes:
    """One line for each file."""
    digests = {path: hashlib.sha256(entry.data).hexdigest() for path, entry in files.items() if isinstance(entry, File)}
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)).encode()


def sign(folder: Path, key_file: Path, password: bytes | None) -> None:
    """Sign the digest list of a package in a folder. The key is a PEM file."""
    check_digests(folder)
    try:
        key = load_pem_private_key(key_file.read_bytes(), password)
    except OSError:
        raise BuildError("the signing key can't be read") from None
    except (ValueError, TypeError):
        raise BuildError("the signing key is no PEM key, or its password is wrong") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BuildError("the signing key is not an ECDSA key on P-256")
    signature = key.sign((folder / DIGESTS).read_bytes(), ec.ECDSA(SHA256()))
    (folder / SIGNATURE).write_bytes(base64.b64encode(signature) + b"\n")


def verify(folder: Path, key_file: Path) -> None:
    """Check a package's signature, and every file of it. Raises BuildError with what is wrong."""
    try:
        key = load_pem_public_key(key_file.read_bytes())
        signature = base64.b64decode((folder / SIGNATURE).read_bytes().strip(), validate=True)
        signed = (folder / DIGESTS).read_bytes()
    except OSError as error:
        name = Path(str(error.filename)).name
        raise BuildError(f"{name} is missing: the package is not signed, or not whole") from None
    except (ValueError, binascii.Error):
        raise BuildError("the public key or the signature can't be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BuildError("the public key is not an ECDSA key")
    try:
        key.verify(signature, signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise BuildError("the digest list is not what was signed") from None
    check_digests(folder)


def check_digests(folder: Path) -> None:
    """Raise BuildError when a file is not what the list says, is missing, or is not on it."""
    try:
        lines = (folder / DIGESTS).read_text("utf-8").splitlines()
    except OSError:
        raise BuildError(f"there is no package in {folder.name}: `make package` makes it") from None
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {DIGESTS, SIGNATURE}
    if there != set(listed):
        stray = sorted(there ^ set(listed))[0]
        raise BuildError(f"{stray} is on the digest list or in the package, but not in both")
    for name, digest in listed.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise BuildError(f"{name} is not what the digest list says")
