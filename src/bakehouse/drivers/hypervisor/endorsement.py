"""Endorsement keys of trusted platform modules: how one is asked for, and in which formats its public part is told.

A module makes the same key of the same template whenever it is asked, for as long as its owner does not change its
endorsement seed. Templates: TCG EK Credential Profile for TPM Family 2.0, annex B: L-1 for RSA 2048, as NitroTPM (the
example of the EC2 User Guide, "Retrieve the public endorsement key", shows its attributes and its policy), and H-3, the
only one for ECC NIST P384. Layout: TPM 2.0 Library, part 2, TPMT_PUBLIC.
"""

import struct
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bakehouse.ports.hypervisor import EndorsementKey

RSA_2048: Final = "rsa-2048"
ECC_P384: Final = "ecc-sec-p384"

_RSA_BYTES: Final = 256

#: Whoever knows the secret of the endorsement hierarchy may use the key: PolicySecret(TPM_RH_ENDORSEMENT), SHA-256.
_POLICY_A: Final = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
#: The same, or whom a policy in the module's own memory lets: SHA-384.
_POLICY_B: Final = bytes.fromhex(
    "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12"
)

#: What stands before the policy: type, algorithm of the name, attributes.
_RSA_HEAD: Final = bytes.fromhex("0001 000b 000300b2")
_ECC_HEAD: Final = bytes.fromhex("0023 000c 000300f2")
#: What stands behind it: AES 128 in CFB, no scheme, 2048 bits, the default exponent; AES 256, no scheme, P384, no KDF.
_RSA_PARAMETERS: Final = bytes.fromhex("0006 0080 0043 0010 0800 00000000")
_ECC_PARAMETERS: Final = bytes.fromhex("0006 0100 0043 0010 0004 0010")

#: What exponent 0 stands for.
_EXPONENT: Final = 65537


def sized(content: bytes) -> bytes:
    """Return bytes with their number before them, as a module reads and writes them."""
    return struct.pack(">H", len(content)) + content


def rsa_public(modulus: bytes) -> bytes:
    """Return the public area of an RSA key, as a TPMT_PUBLIC; of zeros it is the template."""
    return _RSA_HEAD + sized(_POLICY_A) + _RSA_PARAMETERS + sized(modulus)


def ecc_public(x: bytes, y: bytes) -> bytes:
    """Return the public area of an ECC key, as a TPMT_PUBLIC; of nothing it is the template."""
    return _ECC_HEAD + sized(_POLICY_B) + _ECC_PARAMETERS + sized(x) + sized(y)


#: What a module is asked to make.
TEMPLATES: Final[Mapping[str, bytes]] = {RSA_2048: rsa_public(bytes(_RSA_BYTES)), ECC_P384: ecc_public(b"", b"")}


def endorsement_key(kind: str, public: bytes) -> EndorsementKey:
    """Return a key in both formats.

    Raises:
        ValueError: This is no public area of a key made of the template.
    """
    return EndorsementKey(tpmt=public, der=_der(kind, public))


def _der(kind: str, public: bytes) -> bytes:
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    if kind == RSA_2048:
        (modulus,) = _unique(public, rsa_public(b"").removesuffix(sized(b"")))
        key = rsa.RSAPublicNumbers(_EXPONENT, int.from_bytes(modulus)).public_key()
    else:
        x, y = _unique(public, ecc_public(b"", b"").removesuffix(sized(b"") * 2))
        key = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP384R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _unique(public: bytes, head: bytes) -> list[bytes]:
    """Return the sized parts behind what every key of a template has in common."""
    if not public.startswith(head):
        raise ValueError("the module made a key of another kind than it was asked for")
    rest, parts = public[len(head) :], []
    while rest:
        if len(rest) < 2 or len(rest) < 2 + int.from_bytes(rest[:2]):  # noqa: PLR2004 - the bytes of a size
            raise ValueError("the module's key is cut short")
        size = int.from_bytes(rest[:2])
        parts.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return parts
