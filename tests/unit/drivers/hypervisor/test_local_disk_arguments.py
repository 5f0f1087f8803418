"""Local disks on QEMU's command line."""

from dataclasses import replace
from typing import Any

from tests.unit.drivers.hypervisor.test_command_line import DESCRIPTORS, HOST, machine, objects, values

from bakehouse.drivers.hypervisor.qemu import block_nodes
from bakehouse.drivers.hypervisor.qemu.command_line import SPARE_PORTS, build
from bakehouse.ports.hypervisor import LocalDisk

SERIALS = ["AWS0123456789ABCDEF0", "AWSFEDCBA98765432100"]


def argv() -> list[str]:
    spec = machine(local_disks=tuple(LocalDisk(serial=serial, size_bytes=50 * 10**9) for serial in SERIALS))
    return build(spec, replace(DESCRIPTORS, local_disks=(20, 21)), HOST)


def local_devices() -> list[dict[str, Any]]:
    return [it for it in objects(argv(), "-device") if str(it.get("serial", "")).startswith("AWS")]


def test_local_disks_are_opened_by_the_descriptors_that_were_given() -> None:
    sets = [value for value in values(argv(), "-add-fd") if value.startswith(("fd=20,", "fd=21,"))]
    files = [it["file"]["filename"] for it in objects(argv(), "-blockdev") if it["node-name"].startswith("local")]

    assert sets == ["fd=20,set=16", "fd=21,set=17"]
    assert files == ["/dev/fdset/16", "/dev/fdset/17"]


def test_local_disks_are_in_the_ports_behind_the_volumes_and_never_booted() -> None:
    assert [(it["serial"], it["bus"], "bootindex" in it) for it in local_devices()] == [
        (SERIALS[0], "port1", False),
        (SERIALS[1], "port2", False),
    ]


def test_ports_of_local_disks_count_as_taken() -> None:
    ports = [it for it in objects(argv(), "-device") if it["driver"] == "pcie-root-port"]

    assert [block_nodes.port_of(it["id"]) for it in local_devices()] == [1, 2]
    assert len(ports) == 1 + len(SERIALS) + SPARE_PORTS


def test_local_disks_are_taken_for_no_volumes() -> None:
    nodes = [it["node-name"] for it in objects(argv(), "-blockdev") if it["node-name"].startswith("local")]

    assert [block_nodes.node_name(name) for name in nodes] == [None, None]
