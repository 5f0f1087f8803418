import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.volumes import qcow2_header
from bakehouse.drivers.volumes.qcow2_header import NotQcow2


def made(path: Path, *options: str) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", *options, path, "1M"], check=True)
    return path


def test_a_file_over_another_names_it(tmp_path: Path) -> None:
    overlay = made(tmp_path / "top", "-b", "vol-1.0.qcow2", "-F", "qcow2")

    assert qcow2_header.backing_name(overlay) == "vol-1.0.qcow2"


def test_a_file_that_stands_alone_names_none(tmp_path: Path) -> None:
    assert qcow2_header.backing_name(made(tmp_path / "alone")) is None


def test_the_size_is_read(tmp_path: Path) -> None:
    assert qcow2_header.parse(made(tmp_path / "alone").read_bytes()).size_bytes == 1 << 20


@pytest.mark.parametrize("version", ["0.10", "1.1"])
def test_both_versions_of_the_format_are_read(tmp_path: Path, version: str) -> None:
    overlay = made(tmp_path / "top", "-o", f"compat={version}", "-b", "below", "-F", "raw")

    assert qcow2_header.backing_name(overlay) == "below"


def test_a_name_that_lies_outside_of_the_file_is_an_error(tmp_path: Path) -> None:
    path = made(tmp_path / "top", "-b", "below", "-F", "raw")
    with path.open("r+b") as file:
        file.seek(8)
        file.write(struct.pack(">QI", 1 << 40, 8))

    with pytest.raises(NotQcow2):
        qcow2_header.backing_name(path)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(qcow2_header.MAGIC.__add__))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    fd = os.memfd_create("bytes")
    try:
        os.write(fd, data)
        try:
            _, name = qcow2_header.read(fd)
        except NotQcow2:
            return
        assert name is None or len(name) <= qcow2_header.MAX_BACKING_NAME_BYTES
    finally:
        os.close(fd)
