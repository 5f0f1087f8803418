"""Sectors encrypted as QEMU encrypts them: AES-256 in XTS mode, each sector with a tweak of its own.

`cryptography` makes a new context for each tweak, which takes forty times as long as the 512 bytes themselves.
OpenSSL takes a new tweak in a context that is there, so its library is called where it can be found, as Python's own
`ssl` calls it; elsewhere `cryptography` does it. Measured for 512 KiB: 1.5 ms, and 9.

Sources: QEMU's `crypto/block-luks.c` (XTS, plain64: the tweak is the sector's number, little endian); OpenSSL,
EVP_EncryptInit(3): a call with neither cipher nor key sets the tweak alone.
"""

import ctypes
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import XTS

SECTOR_BYTES: Final = 512

_TWEAK_BYTES: Final = 16
_LIBRARY: Final = "libcrypto.so.3"

#: What both ways must make the same of before OpenSSL's own library is trusted.
_PROBE_KEY: Final = bytes(range(64))
_PROBE: Final = bytes(range(256)) * 4
_PROBE_SECTOR: Final = 5 << 32


class SectorCipher:
    """Encrypts whole sectors by their place in the file."""

    def __init__(self, key: bytes) -> None:
        """Use a key of 64 bytes: two keys of AES-256, as XTS needs them."""
        self._key = key

    def encrypt(self, data: bytes, offset: int) -> bytes:
        """Return sectors as they lie at an offset.

        Raises:
            ValueError: The data are not whole sectors.
        """
        return self._changed(data, offset, is_encrypting=True)

    def decrypt(self, data: bytes | memoryview, offset: int) -> bytes:
        """Return what sectors at an offset hold.

        Raises:
            ValueError: The data are not whole sectors.
        """
        return self._changed(data, offset, is_encrypting=False)

    def _changed(self, data: bytes | memoryview, offset: int, *, is_encrypting: bool) -> bytes:
        if len(data) % SECTOR_BYTES:
            raise ValueError(f"{len(data)} bytes are not whole sectors")
        library, sector = _libcrypto(), offset // SECTOR_BYTES
        if library is None:
            return _by_cryptography(self._key, data, sector, is_encrypting=is_encrypting)
        return _by_openssl(library, self._key, data, sector, is_encrypting=is_encrypting)


def _by_cryptography(key: bytes, data: bytes | memoryview, sector: int, *, is_encrypting: bool) -> bytes:
    algorithm = AES(key)

    def changed(number: int, piece: bytes | memoryview) -> bytes:
        cipher = Cipher(algorithm, XTS(number.to_bytes(_TWEAK_BYTES, "little")))
        return (cipher.encryptor() if is_encrypting else cipher.decryptor()).update(piece)

    places = enumerate(range(0, len(data), SECTOR_BYTES), sector)
    return b"".join(changed(number, data[at : at + SECTOR_BYTES]) for number, at in places)


def _by_openssl(library: Any, key: bytes, data: bytes | memoryview, sector: int, *, is_encrypting: bool) -> bytes:  # noqa: ANN401 - ctypes
    """Do the same in place, in a context of this call's: other threads may be at it too."""
    buffer = bytearray(data)
    begin = ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))
    context = library.EVP_CIPHER_CTX_new()
    if not context:
        raise MemoryError
    try:
        initialize, update, count = library.EVP_CipherInit_ex, library.EVP_CipherUpdate, ctypes.byref(ctypes.c_int())
        is_well = initialize(context, library.EVP_aes_256_xts(), None, key, bytes(_TWEAK_BYTES), int(is_encrypting))
        for number, at in enumerate(range(begin, begin + len(buffer), SECTOR_BYTES), sector):
            is_well &= initialize(context, None, None, None, number.to_bytes(_TWEAK_BYTES, "little"), -1)
            is_well &= update(context, at, count, at, SECTOR_BYTES)
    finally:
        library.EVP_CIPHER_CTX_free(context)
    if is_well != 1:
        raise ValueError("OpenSSL does not take the key")
    return bytes(buffer)


@cache
def _libcrypto() -> Any:  # noqa: ANN401 - ctypes
    """Return OpenSSL's library; None where there is none that does what is wanted."""
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    try:
        # A call takes less than to let other threads run meanwhile would.
        library = ctypes.PyDLL(_LIBRARY)
        for name, result, arguments in (
            ("EVP_CIPHER_CTX_new", pointer, ()),
            ("EVP_CIPHER_CTX_free", None, (pointer,)),
            ("EVP_aes_256_xts", pointer, ()),
            ("EVP_CipherInit_ex", number, (pointer, pointer, pointer, text, text, number)),
            ("EVP_CipherUpdate", number, (pointer, pointer, pointer, pointer, number)),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        expected = _by_cryptography(_PROBE_KEY, _PROBE, _PROBE_SECTOR, is_encrypting=True)
        made = _by_openssl(library, _PROBE_KEY, _PROBE, _PROBE_SECTOR, is_encrypting=True)
    except (OSError, AttributeError, ValueError):
        return None
    return library if made == expected else None
