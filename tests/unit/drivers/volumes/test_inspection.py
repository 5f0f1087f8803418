"""Inspecting files that nobody made on purpose: whatever the bytes, the answer is a disk or a refusal, and soon."""

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract import foreign_files

from bakehouse.drivers.volumes import inspection
from bakehouse.drivers.volumes.foreign import ovf, tar
from bakehouse.drivers.volumes.foreign.window import Window, whole
from bakehouse.ports.disk_files import ImportFormat
from bakehouse.ports.volumes import UnsafeImage

MIB = 1 << 20
#: Of the processor: other work of the host does not count.
LONGEST_S = 1.0

#: Where each format's header and tables are; what lies behind is data.
HEADERS = {
    "qcow2": [(0, 112), (65536, 512), (131072, 64)],
    "vmdk": [(0, 1536), (-1536, 1536)],
    "vpc": [(0, 2048), (-512, 512)],
    "vhdx": [(0, 64), (65536, 128), (131072, 128), (196608, 128), (262144, 128), (2 * MIB, 512), (2 * MIB + 65536, 64)],
    "ova": [(0, 2048), (4096, 2048)],
}

EXTREMES = [bytes(8), b"\xff" * 8, b"\x7f" + b"\xff" * 7]
STARTS = [b"", b"KDMV", b"conectix", b"vhdxfile", b"QFI\xfb\0\0\0\3"]


@cache
def sample(kind: str) -> bytes:
    """Return a small file of a format that would be taken."""
    with TemporaryDirectory() as folder:
        plain = foreign_files.small_raw(Path(folder) / "plain")
        path = Path(folder) / "file"
        if kind == "ova":
            foreign_files.ova(path, {"d.vmdk": foreign_files.vmdk(plain)})
        else:
            options = ["-o", "subformat=streamOptimized"] if kind == "vmdk" else []
            words: list[str | Path] = ["qemu-img", "convert", "-f", "raw", "-O", kind, *options, plain, path]
            subprocess.run(words, check=True)
        return path.read_bytes()


def looked_at(content: bytes, expected_format: str | None = None) -> ImportFormat | None:
    """Return what a file is; None when it is refused."""
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        begun = time.thread_time()
        try:
            found = inspection.look(file.fileno(), expected_format)
        except UnsafeImage:
            return None
        finally:
            assert time.thread_time() - begun < LONGEST_S
        assert all(part.disk.size_bytes <= inspection.MAX_SIZE_BYTES for part in found.parts)
        return found.format


@pytest.mark.parametrize("kind", HEADERS)
def test_the_samples_are_taken(kind: str) -> None:
    assert looked_at(sample(kind)) == {"vpc": "vhd"}.get(kind, kind)


@st.composite
def mutations(draw: st.DrawFn, kind: str) -> bytes:
    """Return a sample with some of its header's bytes changed, and perhaps its end cut off."""
    content = bytearray(sample(kind))
    for _ in range(draw(st.integers(1, 6))):
        start, length = draw(st.sampled_from(HEADERS[kind]))
        at = start % len(content) + draw(st.integers(0, length - 1))
        change = draw(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(EXTREMES)))
        content[at : at + len(change)] = change[: max(len(content) - at, 0)]
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


@pytest.mark.parametrize("kind", HEADERS)
def test_a_changed_header_is_a_disk_or_a_refusal(kind: str) -> None:
    @settings(max_examples=settings().max_examples * 3 // 2, deadline=None, suppress_health_check=list(HealthCheck))
    @given(content=mutations(kind), expected_format=st.sampled_from([None, *ImportFormat]))
    def check(content: bytes, expected_format: str | None) -> None:
        assert looked_at(content, expected_format) in (None, *ImportFormat)

    check()


@settings(deadline=None)
@given(content=st.binary(max_size=4096), start=st.sampled_from(STARTS))
def test_noise_is_a_disk_or_a_refusal(content: bytes, start: bytes) -> None:
    assert looked_at(start + content) in (None, *ImportFormat)


@settings(max_examples=settings().max_examples * 2, deadline=None)
@given(text=st.one_of(st.binary(max_size=500), st.text(max_size=500).map(str.encode)), at=st.integers(0, 2000))
def test_any_text_is_a_description_or_a_refusal(text: bytes, at: int) -> None:
    described = foreign_files.ovf(["a.vmdk", "b.vmdk"])

    for changed in (text, described[:at] + text + described[at:], described[:at] + text):
        with suppress(UnsafeImage):
            assert ovf.disk_files(changed)


@settings(max_examples=settings().max_examples * 2, deadline=None)
@given(blocks=st.lists(st.one_of(st.just(b""), st.binary(max_size=512)), max_size=6))
def test_any_archive_is_a_list_or_a_refusal(blocks: list[bytes]) -> None:
    with TemporaryFile() as file:
        file.write(b"".join(block.ljust(512, b"\0") for block in blocks))
        file.flush()
        with suppress(UnsafeImage):
            tar.files(whole(file.fileno()))


def test_a_disk_of_100_tib_is_refused_whatever_can_be_stored_here() -> None:
    with TemporaryFile() as file:
        file.write(b"x" * MIB)
        file.flush()
        with pytest.raises(UnsafeImage, match="100 TiB; 64 TiB are the most"):
            inspection.look_at_disk(Window(file.fileno(), 0, 100 << 40))


@pytest.fixture
def little_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 256 * MIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("kind", [*HEADERS, "nothing"])
def test_a_file_of_a_tebibyte_takes_little_memory_and_time(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"" if kind == "nothing" else sample(kind))
    os.truncate(path, 1 << 40)
    begun = time.thread_time()

    with path.open("rb") as file, suppress(UnsafeImage):
        inspection.look(file.fileno())

    assert time.thread_time() - begun < LONGEST_S
