from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.uefi_data import UEFI_DATA_MAX, check_uefi_data, crc32c


def wrapped(content: bytes, *, magic: bytes = b"AMZNUEFI", version: int = 0) -> str:
    checked = version.to_bytes(4, "little") + content
    return b64encode(magic + crc32c(checked).to_bytes(4, "little") + checked).decode()


def test_the_checksum_is_castagnolis() -> None:
    """The check value that the catalogue of CRCs has for CRC-32/ISCSI."""
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(max_size=1000))
def test_a_store_that_is_whole_is_taken(content: bytes) -> None:
    check_uefi_data(wrapped(content))


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_store_with_one_bit_changed_is_refused(content: bytes, data: st.DataObject) -> None:
    whole = bytearray(b64decode(wrapped(content)))
    bit = data.draw(st.integers(8 * len(b"AMZNUEFI"), 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Ec2Error) as refusal:
        check_uefi_data(b64encode(whole).decode())

    assert refusal.value.code == "InvalidParameterValue"


@pytest.mark.parametrize(
    "refused",
    ["", "?", "AAAA", wrapped(b"", magic=b"ANYTHING"), wrapped(b"", version=1), "A" * (UEFI_DATA_MAX + 4)],
)
def test_what_is_no_store_is_refused(refused: str) -> None:
    with pytest.raises(Ec2Error) as refusal:
        check_uefi_data(refused)

    assert refusal.value.code == "InvalidParameterValue"
