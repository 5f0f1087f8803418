"""LUKS in qcow2: making its header, and opening it.

QEMU itself measures for two seconds of processor time how many rounds of PBKDF2 make a password slow to guess, and
fails where the host counts processor time coarsely (docs/decisions/0008). Our passphrases are 256 random bits, which
nobody guesses, so the fewest rounds that LUKS allows do, and a header takes milliseconds.

Sources: "LUKS On-Disk Format Specification 1.2.3"; QEMU's `crypto/block-luks.c` (AES-256, XTS, plain64, SHA-256 are its
defaults) and `docs/interop/qcow2.rst`, "Data encryption": a sector's number is that of its place in the file.
"""

import hashlib
import os
import struct
import uuid
from typing import Final

from bakehouse.drivers.volumes.sectors import SECTOR_BYTES, SectorCipher

#: magic, version, cipher, mode, hash, payload's sector, key's length, its digest, the digest's salt and rounds, uuid
_HEADER: Final = struct.Struct(">6sH32s32s32sII20s32sI40s")
#: state, rounds, salt, key material's sector, stripes
_SLOT: Final = struct.Struct(">II32sII")
_MAGIC: Final = b"LUKS\xba\xbe"
_SLOTS: Final = 8
_ENABLED: Final = 0x00AC71F3
_DISABLED: Final = 0x0000DEAD
_STRIPES: Final = 4000
_ALIGNMENT: Final = 4096

#: Two keys of AES-256, as XTS needs them.
_KEY_BYTES: Final = 64
_MATERIAL_BYTES: Final = -(-_KEY_BYTES * _STRIPES // _ALIGNMENT) * _ALIGNMENT
#: The fewest that LUKS allows. Source: as above, "PBKDF2 parameters"; QEMU's QCRYPTO_BLOCK_LUKS_MIN_SLOT_KEY_ITERS.
_ROUNDS: Final = 1000

#: What the header takes with room for all its slots. What lies behind `READ_BYTES` of it is zeros.
HEADER_BYTES: Final = _ALIGNMENT + _SLOTS * _MATERIAL_BYTES
READ_BYTES: Final = _ALIGNMENT + _MATERIAL_BYTES


class WrongPassphrase(Exception):
    """The header was not made with this passphrase, or is none."""


def make(passphrase: str) -> tuple[bytes, SectorCipher]:
    """Return a header's first `READ_BYTES` with a key that nobody has, and what encrypts with it."""
    key, digest_salt, slot_salt = os.urandom(_KEY_BYTES), os.urandom(32), os.urandom(32)
    first_slot = _SLOT.pack(_ENABLED, _ROUNDS, slot_salt, _slot_sector(0), _STRIPES)
    other_slots = [_SLOT.pack(_DISABLED, 0, bytes(32), _slot_sector(n), _STRIPES) for n in range(1, _SLOTS)]
    header = _HEADER.pack(
        _MAGIC, 1, b"aes", b"xts-plain64", b"sha256", HEADER_BYTES // SECTOR_BYTES, _KEY_BYTES,
        _derived(key, digest_salt, _ROUNDS, 20), digest_salt, _ROUNDS, str(uuid.uuid4()).encode(),
    )  # fmt: skip
    material = SectorCipher(_derived(passphrase.encode(), slot_salt, _ROUNDS, _KEY_BYTES)).encrypt(_split(key), 0)
    head = (header + first_slot + b"".join(other_slots)).ljust(_ALIGNMENT, b"\0") + material
    return head.ljust(READ_BYTES, b"\0"), SectorCipher(key)


def unlock(head: bytes, passphrase: str) -> SectorCipher:
    """Return what encrypts with the key of a header, of which `head` has the first `READ_BYTES`.

    Raises:
        WrongPassphrase: It is not the header's, or there is no header as we make them.
    """
    if len(head) < READ_BYTES:
        raise WrongPassphrase("the header is cut short")
    magic, version, _, mode, hash_name, _, length, digest, digest_salt, digest_rounds, _ = _HEADER.unpack_from(head)
    state, rounds, slot_salt, sector, stripes = _SLOT.unpack_from(head, _HEADER.size)
    form = (magic, version, mode.rstrip(b"\0"), hash_name.rstrip(b"\0"), length, state, stripes, sector)
    if form != (_MAGIC, 1, b"xts-plain64", b"sha256", _KEY_BYTES, _ENABLED, _STRIPES, _slot_sector(0)):
        raise WrongPassphrase("the header is not one of ours")
    material = head[_ALIGNMENT : _ALIGNMENT + _KEY_BYTES * _STRIPES]
    key = _merged(SectorCipher(_derived(passphrase.encode(), slot_salt, rounds, _KEY_BYTES)).decrypt(material, 0))
    if _derived(key, digest_salt, digest_rounds, 20) != digest:
        raise WrongPassphrase("the passphrase is not the one that the header was made with")
    return SectorCipher(key)


def _slot_sector(number: int) -> int:
    return (_ALIGNMENT + number * _MATERIAL_BYTES) // SECTOR_BYTES


def _derived(secret: bytes, salt: bytes, rounds: int, length: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", secret, salt, rounds, length)


def _split(key: bytes) -> bytes:
    """Return a key in stripes that are all needed to put it together. Source: as above, "Anti-forensic splitter"."""
    stripes = os.urandom(_KEY_BYTES * (_STRIPES - 1))
    return stripes + _xor(_folded(stripes), key)


def _merged(stripes: bytes) -> bytes:
    return _xor(_folded(stripes[:-_KEY_BYTES]), stripes[-_KEY_BYTES:])


def _folded(stripes: bytes) -> bytes:
    block = bytes(_KEY_BYTES)
    sha256 = hashlib.sha256
    for at in range(0, len(stripes), _KEY_BYTES):
        block = _xor(block, stripes[at : at + _KEY_BYTES])
        block = sha256(b"\0\0\0\0" + block[:32]).digest() + sha256(b"\0\0\0\1" + block[32:]).digest()
    return block


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
