import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.hypervisor.endorsement import (
    ECC_P384,
    RSA_2048,
    TEMPLATES,
    ecc_public,
    endorsement_key,
    rsa_public,
)

#: Of SHA-384. Source: TCG EK Credential Profile for TPM Family 2.0, policy C: PolicyAuthorizeNV of an index of its own.
POLICY_C = bytes.fromhex(
    "d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165"
)

MODULUS = b"\xc1" + bytes(254) + b"\x01"


def test_the_policy_of_the_rsa_template_is_the_secret_of_the_endorsement_hierarchy() -> None:
    """As TPM 2.0 Library, part 3, TPM2_PolicySecret, extends an empty policy: command code, name, no reference."""
    first = hashlib.sha256(bytes(32) + bytes.fromhex("00000151 4000000b")).digest()

    assert TEMPLATES[RSA_2048][10:42] == hashlib.sha256(first).digest()


def test_the_policy_of_the_ecc_template_is_that_secret_or_a_policy_in_memory() -> None:
    """As TPM 2.0 Library, part 3, TPM2_PolicyOR, joins two policies."""
    first = hashlib.sha384(bytes(48) + bytes.fromhex("00000151 4000000b")).digest()
    secret = hashlib.sha384(first).digest()
    joined = hashlib.sha384(bytes(48) + bytes.fromhex("00000171") + secret + POLICY_C).digest()

    assert TEMPLATES[ECC_P384][10:58] == joined


def test_an_rsa_key_is_told_as_openssl_reads_it() -> None:
    key = load_der_public_key(endorsement_key(RSA_2048, rsa_public(MODULUS)).der)

    assert isinstance(key, rsa.RSAPublicKey)
    assert (key.public_numbers().n, key.public_numbers().e) == (int.from_bytes(MODULUS), 65537)


def test_an_ecc_key_is_told_as_openssl_reads_it() -> None:
    point = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()

    public = ecc_public(point.x.to_bytes(48), point.y.to_bytes(48))
    key = load_der_public_key(endorsement_key(ECC_P384, public).der)

    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.public_numbers() == point


@pytest.mark.parametrize("kind", [RSA_2048, ECC_P384])
@given(st.data())
def test_what_is_no_key_of_the_template_is_refused(kind: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(TEMPLATES[kind]) - 1))

    with pytest.raises(ValueError):  # noqa: PT011 - whose words those are depends on where it was cut
        endorsement_key(kind, TEMPLATES[kind][:cut])
