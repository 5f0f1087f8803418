"""Which local disks an instance has."""

from dataclasses import replace

import pytest
from tests.unit.imds.samples import metadata

from bakehouse.domain.image import BlockDevice
from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_store import ephemeral_devices, has_nvme, local_disks
from bakehouse.domain.instance_type import INSTANCE_TYPES


def instance(kind: str, *virtual_names: str) -> Instance:
    mapped = tuple((name, f"/dev/sd{chr(ord('b') + number)}") for number, name in enumerate(virtual_names))
    return replace(metadata().instance, type=kind, ephemeral_devices=mapped)


def test_all_nvme_disks_are_there_whatever_the_mapping_says() -> None:
    assert [size for _, size in local_disks(instance("i4i.8xlarge"))] == [3750 * 10**9] * 2


def test_other_disks_are_there_if_they_are_mapped_and_the_type_has_them() -> None:
    assert [size for _, size in local_disks(instance("c3.large", "ephemeral1", "ephemeral7"))] == [16 * 10**9]


def test_a_type_without_disks_has_none_by_being_mapped() -> None:
    assert list(local_disks(instance("t3.micro", "ephemeral0"))) == []


def test_serial_numbers_differ_have_ec2s_form_and_stay() -> None:
    first, again = ([serial for serial, _ in local_disks(instance("i4i.32xlarge"))] for _ in range(2))

    assert first == again
    assert len(set(first)) == 8
    assert all(len(serial) == 20 and serial.startswith("AWS") for serial in first)


@pytest.mark.parametrize(("kind", "nvme"), [("c5d.large", True), ("i3.large", True), ("d2.xlarge", False)])
def test_nvme_is_what_nitro_has_and_i3(kind: str, nvme: bool) -> None:  # noqa: FBT001 - a column of the table
    assert has_nvme(INSTANCE_TYPES[kind]) is nvme


def test_every_size_is_whole_sectors() -> None:
    for kind in INSTANCE_TYPES:
        mapped = [f"ephemeral{number}" for number in range(24)]
        assert all(size % 512 == 0 for _, size in local_disks(instance(kind, *mapped)))


def test_a_mapping_tells_of_instance_store_and_of_nothing_else() -> None:
    devices = [
        BlockDevice(device_name="/dev/sdc", virtual_name="ephemeral1"),
        BlockDevice(device_name="/dev/sdb", virtual_name="ephemeral0"),
        BlockDevice(device_name="/dev/sdd", virtual_name="swap"),
        BlockDevice(device_name="/dev/sda1", size_gib=1),
    ]

    assert ephemeral_devices(devices) == (("ephemeral0", "/dev/sdb"), ("ephemeral1", "/dev/sdc"))
