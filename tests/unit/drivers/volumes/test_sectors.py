"""OpenSSL's own library and `cryptography` encrypt sectors alike. That QEMU reads them is tested with QEMU."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakehouse.drivers.volumes import sectors
from bakehouse.drivers.volumes.sectors import SectorCipher

KEY = bytes(range(64))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 5), sector=st.integers(0, 1 << 40), seed=st.binary(min_size=1, max_size=32))
def test_both_ways_make_the_same(count: int, sector: int, seed: bytes) -> None:
    data = (seed * 512 * count)[: 512 * count]

    written = SectorCipher(KEY).encrypt(data, sector * 512)

    assert written == sectors._by_cryptography(KEY, data, sector, is_encrypting=True) != data
    assert SectorCipher(KEY).decrypt(memoryview(written), sector * 512) == data


def test_without_the_library_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = SectorCipher(KEY).encrypt(bytes(1024), 1 << 20)

    monkeypatch.setattr(sectors, "_libcrypto", lambda: None)

    assert SectorCipher(KEY).encrypt(bytes(1024), 1 << 20) == expected
    assert SectorCipher(KEY).decrypt(expected, 1 << 20) == bytes(1024)


def test_a_library_that_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sectors, "_LIBRARY", "libcrypto-of-nobody.so")

    assert sectors._libcrypto.__wrapped__() is None


def test_a_part_of_a_sector_is_refused() -> None:
    with pytest.raises(ValueError, match="513 bytes"):
        SectorCipher(KEY).encrypt(bytes(513), 0)


def test_a_key_with_two_equal_halves_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        SectorCipher(bytes(64)).encrypt(bytes(512), 0)
