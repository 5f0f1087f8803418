import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.hypervisor.qemu import command_line
from bakehouse.drivers.hypervisor.qemu.command_line import Descriptors, Host, build
from bakehouse.drivers.hypervisor.qemu.firmware import Firmware
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS
from bakehouse.ports.hypervisor import MachineDisk, MachineInterface, MachineSpec
from bakehouse.ports.network import InterfaceConnection
from bakehouse.ports.volumes import VolumeConnection

HOST = Host(platform=PLATFORMS["x86_64"], accelerator="tcg")
ARM = Host(platform=PLATFORMS["arm64"], accelerator="tcg", firmware=Firmware(Path("/code.fd"), Path("/vars.fd")))
DESCRIPTORS = Descriptors(monitor=10, debug_monitor=11, agent=12, console=13, console_log=14)
UUID = "ec2a1b2c-0000-4000-8000-0123456789ab"

hex_digits = st.text("0123456789abcdef", min_size=17, max_size=17)
volume_ids = hex_digits.map("vol-{}".format)
paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map("/{}".format)


def disk(volume_id: str, path: str = "/disk.qcow2") -> MachineDisk:
    connection = VolumeConnection(driver="file", path=path, format="qcow2", size_bytes=1 << 30)
    return MachineDisk(volume_id=volume_id, connection=connection)


def interface(descriptor: int, mtu: int = 1500) -> MachineInterface:
    return MachineInterface(
        interface_id=f"eni-{descriptor}",
        mac="0a:00:00:00:00:01",
        connection=InterfaceConnection(fd=descriptor, mtu=mtu),
    )


def machine(**changes: Any) -> MachineSpec:
    spec = MachineSpec(
        machine_id="i-0123456789abcdef0",
        instance_type="t3.micro",
        architecture="x86_64",
        vcpus=2,
        memory_mib=1024,
        disks=(disk("vol-0123456789abcdef0"),),
        interfaces=(),
        hardware_uuid=UUID,
    )
    return replace(spec, **changes)


def values(argv: list[str], option: str) -> list[str]:
    """Return what follows each occurrence of an option."""
    return [value for name, value in pairwise(argv) if name == option]


def objects(argv: list[str], option: str) -> list[dict[str, Any]]:
    """Return the options that were written as JSON."""
    return [json.loads(value) for value in values(argv, option) if value.startswith("{")]


def disks_of(argv: list[str]) -> list[dict[str, Any]]:
    return [device for device in objects(argv, "-device") if device["driver"] == "nvme"]


def test_a_guest_finds_the_strings_of_ec2() -> None:
    assert values(build(machine(), DESCRIPTORS, HOST), "-smbios") == [
        "type=0,vendor=Amazon EC2,version=1.0",
        f"type=1,manufacturer=Amazon EC2,product=t3.micro,serial={UUID},uuid={UUID}",
        "type=2,manufacturer=Amazon EC2,asset=i-0123456789abcdef0",
        "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
    ]


def test_sizes_are_those_of_the_spec() -> None:
    argv = build(machine(vcpus=4, memory_mib=768), DESCRIPTORS, HOST)

    assert values(argv, "-m") == ["768M"]
    assert values(argv, "-smp") == ["cpus=4,sockets=1,cores=4,threads=1"]


@pytest.mark.parametrize(("accelerator", "cores", "threads"), [("kvm", 2, 2), ("tcg", 4, 1)])
def test_cores_have_the_threads_of_the_spec_where_the_processor_can(accelerator: str, cores: int, threads: int) -> None:
    argv = build(machine(vcpus=4, threads_per_core=2), DESCRIPTORS, replace(HOST, accelerator=accelerator))

    assert values(argv, "-smp") == [f"cpus=4,sockets=1,cores={cores},threads={threads}"]


def test_qemu_may_start_no_program() -> None:
    (sandbox,) = values(build(machine(), DESCRIPTORS, HOST), "-sandbox")

    assert "spawn=deny" in sandbox.split(",")


def test_a_powered_off_guest_keeps_its_process() -> None:
    assert values(build(machine(), DESCRIPTORS, HOST), "-action") == ["shutdown=pause,panic=pause,reboot=reset"]


def test_emulation_gives_a_processor_that_current_distributions_accept() -> None:
    argv = build(machine(), DESCRIPTORS, HOST)

    assert values(argv, "-cpu") == [PLATFORMS["x86_64"].emulated_cpu]


def test_kvm_gives_the_hosts_processor() -> None:
    argv = build(machine(), DESCRIPTORS, replace(HOST, accelerator="kvm"))

    assert (values(argv, "-accel"), values(argv, "-cpu")) == (["kvm"], ["host"])


@pytest.mark.parametrize(("host", "board"), [(HOST, "q35,vmport=off"), (ARM, "virt,gic-version=3")])
def test_a_mac_runs_a_guest_by_hvf_without_what_only_linux_has(host: Host, board: str) -> None:
    argv = build(machine(), DESCRIPTORS, replace(host, accelerator="hvf", is_linux=False, firmware=None))

    assert (values(argv, "-accel"), values(argv, "-cpu")) == (["hvf"], ["host"])
    assert values(argv, "-machine") == [board]
    assert "-sandbox" not in argv


def test_the_first_disk_is_booted_first() -> None:
    spec = machine(disks=(disk("vol-0000000000000000a"), disk("vol-0000000000000000b")))

    assert [it["bootindex"] for it in disks_of(build(spec, DESCRIPTORS, HOST))] == [1, 2]


def test_flushes_reach_the_disk() -> None:
    (node,) = objects(build(machine(), DESCRIPTORS, HOST), "-blockdev")

    assert [it["cache"]["no-flush"] for it in (node, node["file"])] == [False, False]


def test_flushes_can_be_left_out() -> None:
    (node,) = objects(build(machine(), DESCRIPTORS, replace(HOST, flush=False)), "-blockdev")

    assert [it["cache"]["no-flush"] for it in (node, node["file"])] == [True, True]


def test_an_interface_uses_the_tap_it_was_given() -> None:
    argv = build(machine(interfaces=(interface(21),)), DESCRIPTORS, HOST)

    assert values(argv, "-netdev") == ["tap,id=net-eni-21,fd=21,vhost=off"]


def test_an_interface_without_a_tap_is_left_out() -> None:
    argv = build(machine(interfaces=(interface(-1),)), DESCRIPTORS, HOST)

    assert values(argv, "-netdev") == []


def test_interfaces_keep_their_slots_whatever_disks_there_are() -> None:
    few = machine(interfaces=(interface(21),))
    many = replace(few, disks=tuple(disk(f"vol-0000000000000000{n:x}") for n in range(10)))

    slots = [
        [it["addr"] for it in objects(build(spec, DESCRIPTORS, HOST), "-device") if it["driver"] == "virtio-net-pci"]
        for spec in (few, many)
    ]
    assert slots == [["2"], ["2"]]


def test_ports_for_later_disks_are_free() -> None:
    spec = machine(disks=(disk("vol-0000000000000000a"), disk("vol-0000000000000000b")))
    argv = build(spec, DESCRIPTORS, HOST)

    ports = {it["id"] for it in objects(argv, "-device") if it["driver"] == "pcie-root-port"}
    assert len(ports - {it["bus"] for it in disks_of(argv)}) == command_line.SPARE_PORTS


@given(st.lists(volume_ids, min_size=1, max_size=28, unique=True))
def test_no_name_or_slot_is_used_twice(ids: list[str]) -> None:
    argv = build(machine(disks=tuple(map(disk, ids))), DESCRIPTORS, HOST)

    devices = objects(argv, "-device")
    names = [it["id"] for it in devices] + [it["node-name"] for it in objects(argv, "-blockdev")]
    slots = [it["addr"] for it in devices if "addr" in it]
    assert len(set(names)) == len(names)
    assert len(set(slots)) == len(slots)


@given(volume_ids)
def test_a_disks_serial_is_its_volumes_id_without_the_hyphen(volume_id: str) -> None:
    (device,) = disks_of(build(machine(disks=(disk(volume_id),)), DESCRIPTORS, HOST))

    assert device["serial"] == volume_id.replace("-", "")


@given(paths)
def test_a_path_stays_one_path_whatever_is_in_it(path: str) -> None:
    (node,) = objects(build(machine(disks=(disk("vol-0000000000000000a", path),)), DESCRIPTORS, HOST), "-blockdev")

    assert node["file"]["filename"] == path


def test_a_machine_without_firmware_boots_by_its_own_bios() -> None:
    argv = build(machine(), DESCRIPTORS, HOST)

    assert values(argv, "-machine") == ["q35,vmport=off,dump-guest-core=off"]
    assert values(argv, "-boot") == ["strict=on"]


def test_a_machine_that_boots_by_uefi_has_code_that_it_cannot_write_and_variables_of_its_own() -> None:
    argv = build(machine(architecture="arm64", boot_mode="uefi"), replace(DESCRIPTORS, variables=15), ARM)

    code, variables = objects(argv, "-blockdev")[:2]
    assert (code["file"]["filename"], code["read-only"]) == ("/code.fd", True)
    assert variables["file"]["filename"] == "/dev/fdset/2"
    assert "fd=15,set=2" in values(argv, "-add-fd")
    assert values(argv, "-machine") == ["virt,gic-version=3,dump-guest-core=off,pflash0=code,pflash1=variables"]


def test_an_arm_machine_has_what_qemu_has_for_it() -> None:
    argv = build(machine(architecture="arm64", boot_mode="uefi"), replace(DESCRIPTORS, variables=15), ARM)

    assert argv[0] == "qemu-system-aarch64"
    assert values(argv, "-cpu") == ["neoverse-n1"]
    assert not [device for device in values(argv, "-device") if device.startswith("vmgenid")]


def test_descriptors_of_a_machine_include_its_variables() -> None:
    assert replace(DESCRIPTORS, variables=15).all() == (10, 11, 12, 13, 14, 15)


def test_a_machine_without_a_platform_module_has_none() -> None:
    assert values(build(machine(), DESCRIPTORS, HOST), "-tpmdev") == []


def test_a_platform_module_is_behind_the_socket_that_was_given() -> None:
    argv = build(machine(boot_mode="uefi", has_tpm=True), replace(DESCRIPTORS, tpm=16), HOST)

    assert "socket,id=tpm,fd=16" in values(argv, "-chardev")
    assert values(argv, "-tpmdev") == ["emulator,id=tpm,chardev=tpm"]
    assert "tpm-crb,tpmdev=tpm" in values(argv, "-device")


def test_an_arm_machine_has_the_platform_module_that_its_board_can_have() -> None:
    argv = build(machine(architecture="arm64"), replace(DESCRIPTORS, variables=15, tpm=16), ARM)

    assert "tpm-tis-device,tpmdev=tpm" in values(argv, "-device")


def test_all_descriptors_are_inherited() -> None:
    assert replace(DESCRIPTORS, variables=15, tpm=16).all() == (10, 11, 12, 13, 14, 15, 16)


def test_firmware_that_protects_its_variables_has_system_management_mode() -> None:
    protected = Firmware(Path("/code.fd"), Path("/vars.fd"), needs_smm=True)
    argv = build(machine(boot_mode="uefi"), replace(DESCRIPTORS, variables=15), replace(HOST, firmware=protected))

    assert ",smm=on," in values(argv, "-machine")[0]
    assert values(argv, "-global") == ["driver=cfi.pflash01,property=secure,value=on"]


def test_plain_firmware_writes_its_variables_as_any_program_may() -> None:
    plain = Firmware(Path("/code.fd"), Path("/vars.fd"))
    argv = build(machine(boot_mode="uefi"), replace(DESCRIPTORS, variables=15), replace(HOST, firmware=plain))

    assert values(argv, "-global") == []
