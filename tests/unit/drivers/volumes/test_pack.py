"""The format of packed images: what goes in comes out, and nothing else does."""

import asyncio
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakehouse.drivers.long_work import Work, in_thread
from bakehouse.drivers.volumes import pack
from bakehouse.ports.disk_files import NotAPack

BLOCK = pack.BLOCK_BYTES
SLOW = settings(max_examples=settings().max_examples * 2 // 5, deadline=None, suppress_health_check=list(HealthCheck))


def packed(disks: Sequence[bytes], document: dict[str, Any] | None = None) -> bytes:
    async def write() -> bytes:
        target = io.BytesIO()
        files = [TemporaryFile() for _ in disks]  # noqa: SIM115 - closed below
        sources = []
        for file, content in zip(files, disks, strict=True):
            _write_with_holes(file.fileno(), content)
            sources.append(pack.SourceDisk(file.fileno(), len(content)))
        await in_thread(lambda work: pack.write(target, document or {}, sources, work))
        for file in files:
            file.close()
        return target.getvalue()

    return asyncio.run(write())


def unpacked(content: bytes) -> list[bytes]:
    async def read() -> list[bytes]:
        reader = pack.Reader(io.BytesIO(content))
        files = [TemporaryFile() for _ in reader.contents.disk_sizes_bytes]  # noqa: SIM115 - closed below
        for file, size in zip(files, reader.contents.disk_sizes_bytes, strict=True):
            file.truncate(size)
        try:
            await in_thread(lambda work: reader.restore([file.fileno() for file in files], work))
            return [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) for file in files]
        finally:
            for file in files:
                file.close()

    return asyncio.run(read())


def _write_with_holes(fd: int, content: bytes) -> None:
    os.truncate(fd, len(content))
    for at in range(0, len(content), 4096):
        piece = content[at : at + 4096]
        if any(piece):
            os.pwrite(fd, piece, at)


@st.composite
def disks(draw: st.DrawFn) -> bytes:
    """Data, zeros and noise around the borders of blocks."""
    pieces = draw(
        st.lists(
            st.tuples(st.sampled_from([512, 4096, 65536, BLOCK - 512, BLOCK, BLOCK + 512]), st.sampled_from("0xr")),
            min_size=1,
            max_size=4,
        )
    )
    kinds = {"0": bytes, "x": lambda size: b"x" * size, "r": os.urandom}
    return b"".join(kinds[kind](size) for size, kind in pieces)


@SLOW
@given(contents=st.lists(disks(), max_size=3))
def test_disks_come_out_as_they_went_in(contents: list[bytes]) -> None:
    assert unpacked(packed(contents)) == contents


@given(document=st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=5)))
@SLOW
def test_the_document_comes_out_as_it_went_in(document: dict[str, Any]) -> None:
    assert pack.Reader(io.BytesIO(packed([], document))).contents.document == document


def test_zeros_take_no_room() -> None:
    assert len(packed([bytes(64 * BLOCK)])) < 200


def test_what_shrinks_is_compressed_and_noise_is_not() -> None:
    assert len(packed([b"text " * BLOCK])) < BLOCK // 10
    assert len(packed([os.urandom(BLOCK)])) < BLOCK + 200


SAMPLE = packed([b"first" * 1024, os.urandom(8192)], {"name": "shop"})


def test_the_sample_is_whole() -> None:
    assert len(unpacked(SAMPLE)) == 2


@pytest.mark.parametrize("at", range(0, len(SAMPLE), 97))
def test_no_bit_can_change_unnoticed(at: int) -> None:
    damaged = bytearray(SAMPLE)
    damaged[at] ^= 1 << at % 8

    with pytest.raises(NotAPack):
        unpacked(bytes(damaged))


@pytest.mark.parametrize("length", range(0, len(SAMPLE), 101))
def test_no_end_can_be_missing_unnoticed(length: int) -> None:
    with pytest.raises(NotAPack):
        unpacked(SAMPLE[:length])


def test_nothing_may_follow() -> None:
    with pytest.raises(NotAPack, match="follows"):
        unpacked(SAMPLE + b"\0")


def test_a_later_version_is_named() -> None:
    with pytest.raises(NotAPack, match="version 9; this is version 1"):
        unpacked(SAMPLE[:15] + b"\x09" + SAMPLE[16:])


class Forged:
    """A pack with whatever somebody likes, every digest right."""

    def __init__(self, head: object) -> None:
        encoded = msgspec.json.encode(head)
        self.content = SAMPLE[:16]
        self._digest = b""
        self._add(struct.pack(">I", len(encoded)) + encoded)

    def block(self, kind: int, disk: int, offset: int, length: int, data: bytes) -> "Forged":
        self._add(struct.pack(">BIQII", kind, disk, offset, length, len(data)) + data)
        return self

    def _add(self, data: bytes) -> None:
        self._digest = hashlib.blake2b(data, digest_size=16, key=self._digest).digest()
        self.content += data + self._digest


ONE_DISK = {"document": {}, "disks": [{"size_bytes": 4 * BLOCK, "data_bytes": 2 * BLOCK}]}
PLAIN, ZLIB, END = 1, 2, 3
ZEROS = zlib.compress(bytes(BLOCK))


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (Forged(ONE_DISK).block(PLAIN, 1, 0, 1, b"x"), "out of its place"),
        (Forged(ONE_DISK).block(PLAIN, 0, 4 * BLOCK - 1, 2, b"xy"), "outside of its disk"),
        (Forged(ONE_DISK).block(PLAIN, 0, 2**64 - 1, 1, b"x"), "outside of its disk"),
        (Forged(ONE_DISK).block(PLAIN, 0, 5, 1, b"x").block(PLAIN, 0, 5, 1, b"x"), "out of its place"),
        (Forged(ONE_DISK).block(PLAIN, 0, 0, 2, b"x"), "shorter"),
        (Forged(ONE_DISK).block(ZLIB, 0, 0, BLOCK + 1, zlib.compress(bytes(BLOCK + 1))), "too long"),
        (Forged(ONE_DISK).block(ZLIB, 0, 0, 4, zlib.compress(b"xy")), "shorter"),
        (Forged(ONE_DISK).block(ZLIB, 0, 0, 2, b"noise"), "unpacked"),
        (Forged(ONE_DISK).block(9, 0, 0, 1, b"x"), "kind 9"),
        (
            Forged(ONE_DISK)
            .block(ZLIB, 0, 0, BLOCK, ZEROS)
            .block(ZLIB, 0, BLOCK, BLOCK, ZEROS)
            .block(ZLIB, 0, 2 * BLOCK, BLOCK, ZEROS),
            "more data than it says",
        ),
        (Forged({"document": {}, "disks": [{"size_bytes": 100 << 40, "data_bytes": 0}]}), "a disk of"),
        (Forged({"document": {}, "disks": [{"size_bytes": -512, "data_bytes": 0}]}), "a disk of"),
        (Forged({"document": {}, "disks": [{"size_bytes": 513, "data_bytes": 0}]}), "a disk of"),
        (Forged({"document": {}, "disks": [{"size_bytes": 512, "data_bytes": 513}]}), "more data"),
        (Forged({"document": {}, "disks": [{"size_bytes": 512, "data_bytes": 0}] * 129}), "129 disks"),
        (Forged({"document": []}), "cannot be read"),
        (Forged("x"), "cannot be read"),
    ],
)
def test_a_forged_pack_does_no_harm(forged: Forged, why: str) -> None:
    with pytest.raises(NotAPack, match=why):
        unpacked(forged.content)


def test_a_block_that_unpacks_into_more_than_it_says_gives_what_it_says() -> None:
    forged = Forged(ONE_DISK).block(ZLIB, 0, 0, 4, zlib.compress(b"x" * BLOCK)).block(END, 1, 0, 0, b"")

    assert unpacked(forged.content)[0] == b"xxxx".ljust(4 * BLOCK, b"\0")


async def test_a_document_of_megabytes_is_not_packed() -> None:
    with pytest.raises(ValueError, match="more than a pack holds"):
        pack.write(io.BytesIO(), {"text": "x" * (2 << 20)}, [], Work())
