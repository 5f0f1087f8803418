"""QEMU's command line for a machine. Nothing here reads, checks or starts anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from bakehouse.drivers.hypervisor.qemu import block_nodes
from bakehouse.ports.hypervisor import MachineDisk, MachineInterface, MachineSpec

#: Architecture, as EC2 names it -> QEMU's program.
BINARIES: Final = {"x86_64": "qemu-system-x86_64"}

#: Free ports for disks attached later, beside those of the first disks. Each costs the guest's firmware and
#: kernel some 20 ms of emulated time (measured: 8 ports 2.7 s, 32 ports 3.8 s of CPU until login).
SPARE_PORTS: Final = 8

#: Slots of the root bus. Fixed, so that a guest's names for its devices do not depend on how many it has.
FIRST_INTERFACE_SLOT: Final = 0x02
RNG_SLOT: Final = 0x0A
SERIAL_PORTS_SLOT: Final = 0x0B
FIRST_PORT_SLOT: Final = 0x10
_PORTS_PER_SLOT: Final = 8

#: As many interfaces as slots before the next fixed one.
MAX_INTERFACES: Final = RNG_SLOT - FIRST_INTERFACE_SLOT

#: Under emulation: x86-64-v2, which distributions of the RHEL 9 and Amazon Linux 2023 generation need, and RDRAND,
#: without which Linux waits for entropy. `max` has more and is a tenth slower to boot.
TCG_CPU: Final = "qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is the same for all machines of a host."""

    binary: str
    accelerator: str
    """`kvm` or `tcg`."""
    flush: bool = True
    """Whether guests' flushes reach the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """File descriptors that QEMU inherits."""

    monitor: int
    debug_monitor: int
    agent: int
    console: int
    console_log: int

    def all(self) -> tuple[int, ...]:
        """Return them all."""
        return (self.monitor, self.debug_monitor, self.agent, self.console, self.console_log)


def build(spec: MachineSpec, descriptors: Descriptors, host: Host) -> list[str]:
    """Return QEMU's argv for a machine. A machine's interface with descriptor -1 is left out."""
    ports = len(spec.disks) + SPARE_PORTS
    plugged = [interface for interface in spec.interfaces if interface.connection.fd >= 0]
    return [
        host.binary,
        "-name", spec.machine_id,
        "-no-user-config",
        "-nodefaults",
        "-display", "none",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-machine", "q35,vmport=off,dump-guest-core=off",
        "-accel", {"tcg": "tcg,thread=multi"}.get(host.accelerator, host.accelerator),
        "-cpu", TCG_CPU if host.accelerator == "tcg" else "host",
        "-smp", f"cpus={spec.vcpus},sockets=1,cores={spec.vcpus},threads=1",
        "-m", f"{spec.memory_mib}M",
        "-rtc", "base=utc",
        "-boot", "strict=on",
        # The process outlives the guest's power-off, so that its disks can be snapshotted at that moment.
        "-action", "shutdown=pause,panic=pause,reboot=reset",
        *smbios_arguments(spec),
        *monitor_arguments("monitor", descriptors.monitor),
        *monitor_arguments("debug", descriptors.debug_monitor),
        *console_arguments(descriptors),
        *agent_arguments(descriptors),
        "-object", "rng-random,id=entropy,filename=/dev/urandom",
        "-device", f"virtio-rng-pci,rng=entropy,addr={RNG_SLOT:#x}",
        "-device", f"vmgenid,guid={spec.hardware_uuid}",
        "-device", "pvpanic",
        *chain.from_iterable(port_arguments(port) for port in range(ports)),
        *chain.from_iterable(disk_arguments(n, disk, flush=host.flush) for n, disk in enumerate(spec.disks)),
        *chain.from_iterable(interface_arguments(n, interface) for n, interface in enumerate(plugged)),
    ]  # fmt: skip


def smbios_arguments(spec: MachineSpec) -> list[str]:
    """Return the strings by which cloud-init and EC2's own tools know where they run.

    cloud-init takes the serial equal to the uuid, beginning with `ec2`, as EC2; ec2-instance-connect compares
    the asset of the board with the instance's id.
    """
    uuid = spec.hardware_uuid
    return [
        "-smbios", "type=0,vendor=Amazon EC2,version=1.0",
        "-smbios", f"type=1,manufacturer=Amazon EC2,product={spec.instance_type},serial={uuid},uuid={uuid}",
        "-smbios", f"type=2,manufacturer=Amazon EC2,asset={spec.machine_id}",
        "-smbios", "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
    ]  # fmt: skip


def monitor_arguments(name: str, descriptor: int) -> list[str]:
    """Return a QMP monitor on a listening socket."""
    return [
        "-chardev", f"socket,id={name},fd={descriptor},server=on,wait=off",
        "-mon", f"chardev={name},mode=control",
    ]  # fmt: skip


def console_arguments(descriptors: Descriptors) -> list[str]:
    """Return the serial console: a socket for whoever wants to type, and a log of all that is written."""
    log = "logfile=/dev/fdset/1,logappend=on"
    return [
        "-add-fd", f"fd={descriptors.console_log},set=1",
        "-chardev", f"socket,id=console,fd={descriptors.console},server=on,wait=off,{log}",
        "-serial", "chardev:console",
    ]  # fmt: skip


def agent_arguments(descriptors: Descriptors) -> list[str]:
    """Return the port on which a guest's qemu-guest-agent listens, if it has one."""
    return [
        "-chardev", f"socket,id=agent,fd={descriptors.agent},server=on,wait=off",
        "-device", f"virtio-serial-pci,addr={SERIAL_PORTS_SLOT:#x}",
        "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
    ]  # fmt: skip


def port_arguments(port: int) -> list[str]:
    """Return a hot-plug port. The root bus itself takes no device while the machine runs."""
    slot, function = divmod(port, _PORTS_PER_SLOT)
    options = {
        "driver": "pcie-root-port",
        "id": block_nodes.port_id(port),
        "bus": "pcie.0",
        "addr": f"{FIRST_PORT_SLOT + slot:x}.{function}",
        "multifunction": function == 0,
        "chassis": port + 1,
        # Without this each port takes 4 KiB of the 64 KiB of port addresses, and the sixteenth gets none.
        "io-reserve": 0,
    }
    return ["-device", _json(options)]


def disk_arguments(position: int, disk: MachineDisk, *, flush: bool) -> list[str]:
    """Return a disk in the port of the same number. The machine boots from the first that is bootable.

    Each is given its place, because the firmware hides disks without one, and a boot loader may need them all.
    """
    name = block_nodes.NodeName(disk.volume_id, 0)
    node = block_nodes.node_options(name, disk.connection.path, disk.connection.format, flush=flush)
    device = block_nodes.disk_options(position, name) | {"bootindex": position + 1}
    return ["-blockdev", _json(node), "-device", _json(device)]


def interface_arguments(position: int, interface: MachineInterface) -> list[str]:
    """Return a network interface on a tap that somebody opened for us."""
    device = {
        "driver": "virtio-net-pci",
        "id": interface.interface_id,
        "netdev": f"net{position}",
        "mac": interface.mac,
        "romfile": "",
        "addr": f"{FIRST_INTERFACE_SLOT + position:x}",
        "host_mtu": interface.connection.mtu,
    }
    return [
        "-netdev", f"tap,id=net{position},fd={interface.connection.fd},vhost=off",
        "-device", _json(device),
    ]  # fmt: skip


def _json(options: Mapping[str, Any]) -> str:
    """Write options so that a comma in a path stays part of the path."""
    return json.dumps(options, separators=(",", ":"))
