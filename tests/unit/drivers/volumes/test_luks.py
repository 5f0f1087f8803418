"""LUKS headers and sectors. That QEMU reads them is tested with QEMU."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakehouse.drivers.volumes import luks
from bakehouse.drivers.volumes.sectors import SectorCipher

PASSPHRASE = "of 64 characters, as a rule"


@settings(max_examples=20, deadline=None)
@given(sectors=st.integers(1, 4), offset=st.integers(0, 1 << 30), seed=st.binary(min_size=1, max_size=32))
def test_sectors_are_read_as_they_were_written_where_they_were(sectors: int, offset: int, seed: bytes) -> None:
    cipher = SectorCipher(bytes(range(64)))
    data = (seed * 512 * sectors)[: 512 * sectors]

    written = cipher.encrypt(data, offset * 512)

    assert cipher.decrypt(written, offset * 512) == data != written
    assert cipher.decrypt(written, (offset + 1) * 512) != data


def test_a_header_is_opened_by_its_passphrase() -> None:
    head, cipher = luks.make(PASSPHRASE)
    written = cipher.encrypt(bytes(512), 0)

    assert luks.unlock(head, PASSPHRASE).decrypt(written, 0) == bytes(512)
    assert len(head) == luks.READ_BYTES <= luks.HEADER_BYTES


def test_two_headers_of_one_passphrase_have_different_keys() -> None:
    (_, first), (_, second) = luks.make(PASSPHRASE), luks.make(PASSPHRASE)

    assert first.encrypt(bytes(512), 0) != second.encrypt(bytes(512), 0)


@pytest.mark.parametrize("change", [lambda head: head[:4000], lambda head: b"QFI\xfb" + head[4:], lambda head: head])
def test_another_passphrase_or_no_header_opens_nothing(change: object) -> None:
    head, _ = luks.make(PASSPHRASE)
    changed = change(head)  # type: ignore[operator]

    with pytest.raises(luks.WrongPassphrase):
        luks.unlock(changed, "another")
