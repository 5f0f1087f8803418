"""Key pairs: made here or brought along; the private half leaves at once and is kept nowhere."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_parameter
from bakehouse.domain.ids import new_id
from bakehouse.domain.key_pair import (
    KeyPair,
    key_format_refused,
    key_kind_refused,
    key_pair_exists,
    key_pair_not_found,
)
from bakehouse.domain.tags import check_tags

#: Source: EC2 API Reference, CreateKeyPair, KeyName; of spaces: EC2 User Guide, "Create a key pair".
_NAME_MAX: Final = 255
#: Source: EC2 User Guide, "Create a key pair": 1024, 2048 and 4096 bits may be imported; 2048 are made.
_RSA_BITS: Final = 2048
_RSA_BITS_ALLOWED: Final = frozenset({1024, 2048, 4096})

_PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class KeyPairs:
    """Use cases on key pairs."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, name: str, key_type: str, tags: Mapping[str, str]) -> tuple[KeyPair, str]:
        """Make a key pair and return it with its private key in PEM, which exists nowhere else afterwards.

        `key_type` is `rsa` (2048 bits) or `ed25519`. Refuses a name in use: InvalidKeyPair.Duplicate.
        """
        _check(name, tags)
        private = await asyncio.to_thread(_generate, key_type)
        fingerprint = _sha256(private) if key_type == "ed25519" else _sha1_of_private(private)
        pair = await self._keep(caller, name, key_type, fingerprint, _line(private), tags)
        return pair, _pem(private, key_type)

    async def bring(self, caller: Caller, name: str, material: bytes, tags: Mapping[str, str]) -> KeyPair:
        """Keep a public key in OpenSSH, PEM or DER form.

        Refuses a name in use (InvalidKeyPair.Duplicate) and what is no RSA or ED25519 public key (InvalidKey.Format).
        """
        _check(name, tags)
        public = _read_public(material)
        if isinstance(public, rsa.RSAPublicKey):
            return await self._keep(caller, name, "rsa", _md5_of_public(public), _public_line(public), tags)
        return await self._keep(caller, name, "ed25519", _sha256_of_public(public), _public_line(public), tags)

    def describe(
        self, caller: Caller, names: Iterable[str] | None = None, key_pair_ids: Iterable[str] | None = None
    ) -> list[KeyPair]:
        """Return the caller's key pairs: all, or those with these names and ids. A missing one is refused."""
        if names is None and key_pair_ids is None:
            return scope(self._context.store.key_pairs, caller)
        found = {pair.id: pair for pair in owned(self._context.store.key_pairs, caller, "key-pair", key_pair_ids or ())}
        for name in names or ():
            pair = self.named(caller, name)
            if pair is None:
                raise key_pair_not_found(name)
            found[pair.id] = pair
        return list(found.values())

    def named(self, caller: Caller, name: str) -> KeyPair | None:
        """Return the caller's key pair of this name, or None."""
        return next((pair for pair in scope(self._context.store.key_pairs, caller) if pair.name == name), None)

    async def delete(self, caller: Caller, *, name: str | None, key_pair_id: str | None) -> KeyPair | None:
        """Forget a key pair; instances keep the key. None of that name or id: None, as EC2 answers success."""
        pairs = scope(self._context.store.key_pairs, caller)
        pair = next((pair for pair in pairs if pair.name == name or pair.id == key_pair_id), None)
        if pair is not None:
            async with self._context.store.transaction() as tx:
                tx.delete(pair)
        return pair

    async def _keep(
        self, caller: Caller, name: str, key_type: str, fingerprint: str, public_key: str, tags: Mapping[str, str]
    ) -> KeyPair:
        if self.named(caller, name) is not None:
            raise key_pair_exists(name)
        pair = KeyPair(
            id=new_id("key-pair"),
            account_id=caller.account_id,
            region=caller.region,
            name=name,
            type=key_type,
            fingerprint=fingerprint,
            public_key=f"{public_key} {name}",
            created_at=self._context.now(),
            tags=dict(tags),
        )
        async with self._context.store.transaction() as tx:
            tx.put(pair)
        return pair


def _check(name: str, tags: Mapping[str, str]) -> None:
    check_tags(tags)
    # The name is the comment of a line in authorized_keys, where a line break would begin another key.
    if not 1 <= len(name) <= _NAME_MAX or name.strip() != name or not (name.isascii() and name.isprintable()):
        raise invalid_parameter(
            f"Value for parameter KeyName is invalid: up to {_NAME_MAX} printable ASCII characters, without leading or "
            "trailing spaces."
        )


def _generate(key_type: str) -> _PrivateKey:
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def _read_public(material: bytes) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    public: object
    try:
        text = material.strip()
        if text.startswith(b"ssh-"):
            public = serialization.load_ssh_public_key(b" ".join(text.split()[:2]))
        elif text.startswith(b"-----"):
            public = serialization.load_pem_public_key(text)
        else:
            public = serialization.load_der_public_key(_der(material))
    except (ValueError, UnsupportedAlgorithm) as err:
        raise key_format_refused() from err
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size not in _RSA_BITS_ALLOWED:
            raise key_kind_refused(f"RSA keys of {public.key_size} bits are not supported")
        return public
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public
    raise key_kind_refused("only RSA and ED25519 keys are supported")


def _der(material: bytes) -> bytes:
    """Return DER that came as it is, or as base64 text; a byte of the former may look like white space."""
    try:
        return base64.b64decode(material.strip(), validate=True)
    except binascii.Error:
        return material


def _pem(private: _PrivateKey, key_type: str) -> str:
    """Return the private key as EC2 does: PKCS#1 for RSA, OpenSSH's own form for ED25519."""
    form = (
        serialization.PrivateFormat.OpenSSH if key_type == "ed25519" else serialization.PrivateFormat.TraditionalOpenSSL
    )
    return private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode().strip()


def _line(private: _PrivateKey) -> str:
    return _public_line(private.public_key())


def _public_line(public: rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> str:
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _sha1_of_private(private: _PrivateKey) -> str:
    """Return the fingerprint of a key made by EC2. Source: EC2 User Guide, "Verify the fingerprint"."""
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _colons(hashlib.sha1(der, usedforsecurity=False).hexdigest())


def _md5_of_public(public: rsa.RSAPublicKey) -> str:
    """Return the fingerprint of an imported RSA key. Source: EC2 User Guide, "Verify the fingerprint"."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _colons(hashlib.md5(der, usedforsecurity=False).hexdigest())


def _sha256(private: _PrivateKey) -> str:
    public = private.public_key()
    return _sha256_of_public(public) if isinstance(public, ed25519.Ed25519PublicKey) else ""


def _sha256_of_public(public: ed25519.Ed25519PublicKey) -> str:
    """Return OpenSSH's own fingerprint, with padding, as EC2 shows it for ED25519 keys."""
    blob = base64.b64decode(_public_line(public).split()[1])
    return base64.b64encode(hashlib.sha256(blob).digest()).decode()


def _colons(digest: str) -> str:
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
