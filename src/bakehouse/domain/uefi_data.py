"""The wrapping of EC2's `UefiData`: what can be told of it without its dictionary.

In base64: `AMZNUEFI`, a CRC-32C of all that follows it, a version, and the variables, compressed.
Source: awslabs/python-uefivars, README and the layout that its AWS format has.
"""

import binascii
import struct
from base64 import b64decode
from typing import Final

from bakehouse.domain.errors import invalid_parameter

#: Source: EC2 API model, ImageUefiDataRequest: characters of base64.
UEFI_DATA_MAX: Final = 64_000

_HEADER: Final = struct.Struct("<8sII")
_MAGIC: Final = b"AMZNUEFI"
_VERSION: Final = 0
#: What the checksum is of begins with the version.
_CHECKED_FROM: Final = 12

#: Castagnoli's polynomial, its lowest power first. Source: RFC 3720, appendix B.4.
_POLYNOMIAL: Final = 0x82F63B78


def check_uefi_data(uefi_data: str) -> None:
    """Refuse what is not a variable store as EC2 writes it, or was damaged on its way: InvalidParameterValue."""
    if len(uefi_data) > UEFI_DATA_MAX:
        raise invalid_parameter(f"The parameter uefiData can have {UEFI_DATA_MAX} characters at most.")
    try:
        content = b64decode(uefi_data, validate=True)
        magic, checksum, version = _HEADER.unpack_from(content)
    except (binascii.Error, ValueError, struct.error) as err:
        raise invalid_parameter("The parameter uefiData is not valid base64.") from err
    if magic != _MAGIC or version != _VERSION:
        raise invalid_parameter("The parameter uefiData is not a UEFI variable store.")
    if checksum != crc32c(content[_CHECKED_FROM:]):
        raise invalid_parameter("The parameter uefiData is damaged: its checksum is not that of its content.")


def crc32c(content: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes: for a store, of which 64 KB is the largest."""
    value = 0xFFFFFFFF
    for byte in content:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _of_one_byte(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE: Final = tuple(map(_of_one_byte, range(256)))
