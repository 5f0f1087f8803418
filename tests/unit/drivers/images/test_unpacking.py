"""Files packed by xz, whole and broken."""

import lzma
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakehouse.drivers.images.unpacking import CannotUnpack, unpack_xz

LIMIT = 64 << 20
HOLES = b"start" + bytes(3 << 20) + b"middle" + bytes(5 << 20)


def unpacked(folder: Path, packed: bytes, limit: int = LIMIT) -> bytes:
    (folder / "disk.xz").write_bytes(packed)
    unpack_xz(folder / "disk.xz", folder / "disk", limit, lambda _: None)
    return (folder / "disk").read_bytes()


def test_zeros_become_holes_and_the_end_stays(tmp_path: Path) -> None:
    assert unpacked(tmp_path, lzma.compress(HOLES)) == HOLES
    assert (tmp_path / "disk").stat().st_blocks * 512 < 4 << 20


@pytest.mark.parametrize("padding", [b"", bytes(4), bytes(4096)])
def test_streams_one_after_the_other_are_one_file(tmp_path: Path, padding: bytes) -> None:
    packed = lzma.compress(b"one") + padding + lzma.compress(b"two") + padding

    assert unpacked(tmp_path, packed) == b"onetwo"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=4))
def test_what_was_packed_is_unpacked(tmp_path: Path, parts: list[bytes]) -> None:
    assert unpacked(tmp_path, b"".join(map(lzma.compress, parts))) == b"".join(parts)


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (b"", "empty"),
        (b"QFI\xfb" + bytes(512), "cannot be unpacked"),
        (lzma.compress(HOLES)[:-1], "cut short"),
        (lzma.compress(HOLES)[:100], "cut short"),
        (lzma.compress(b"x" * 1000)[:-30] + bytes(30), "cannot be unpacked"),
        (lzma.compress(b"x") + b"more after it", "cannot be unpacked"),
        (lzma.compress(b"x") + bytes(3), "padding"),
        (lzma.compress(b"x", format=lzma.FORMAT_ALONE), "cannot be unpacked"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, packed: bytes, reason: str) -> None:
    with pytest.raises(CannotUnpack, match=reason):
        unpacked(tmp_path, packed)


def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(CannotUnpack, match="more than 1048576 bytes"):
        unpacked(tmp_path, lzma.compress(bytes(100 << 20), preset=0), limit=1 << 20)

    assert (tmp_path / "disk").stat().st_size <= 2 << 20


def test_a_file_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    greedy = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]

    with pytest.raises(CannotUnpack, match="cannot be unpacked: Memory"):
        unpacked(tmp_path, lzma.compress(b"x", filters=greedy))
