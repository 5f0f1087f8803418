"""QEMU's command line for a machine. Nothing here reads, checks or starts anything."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from bakehouse.drivers.hypervisor.qemu import block_nodes, layer_keys
from bakehouse.drivers.hypervisor.qemu.firmware import Firmware
from bakehouse.drivers.hypervisor.qemu.platforms import Platform
from bakehouse.ports.hypervisor import LocalDisk, MachineDisk, MachineInterface, MachineSpec

#: Free ports for disks attached later, beside those of the first disks. Each costs the guest's firmware and
#: kernel some 20 ms of emulated time (measured: 8 ports 2.7 s, 32 ports 3.8 s of CPU until login).
SPARE_PORTS: Final = 8

#: Slots of the root bus. Fixed, so that a guest's names for its devices do not depend on how many it has.
INTERFACE_SLOT: Final = 0x02
RNG_SLOT: Final = 0x0A
SERIAL_PORTS_SLOT: Final = 0x0B
FIRST_PORT_SLOT: Final = 0x10
_PORTS_PER_SLOT: Final = 8

#: Sets of descriptors by which QEMU opens files that it was given open.
_CONSOLE_SET: Final = 1
_VARIABLES_SET: Final = 2
#: The first of those of the local disks.
_LOCAL_SETS: Final = 16

_INTERFACE_DEVICE: Final = re.compile(r"(?:nic\d+-)?(?P<interface>eni-[0-9a-f]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is the same for all machines of an architecture on a host."""

    platform: Platform
    accelerator: str
    """`kvm`, `hvf` or `tcg`."""
    firmware: Firmware | None = None
    """UEFI, for machines that boot by it."""
    flush: bool = True
    """Whether guests' flushes reach the disk."""
    is_linux: bool = True
    """Whether it has seccomp, and can keep guests' memory out of core dumps. QEMU refuses to try elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """File descriptors that QEMU inherits."""

    monitor: int
    debug_monitor: int
    agent: int
    console: int
    console_log: int
    variables: int | None = None
    """The machine's UEFI variable store, of a machine that boots by UEFI."""
    local_disks: tuple[int, ...] = ()
    """The machine's local disks, open for reading and writing."""
    tpm: int | None = None
    """A connected socket to the trusted platform module, of a machine that has one."""
    layer_keys: Mapping[str, int] = field(default_factory=dict)
    """The keys of encrypted disks, by their ids."""

    def all(self) -> tuple[int, ...]:
        """Return them all."""
        always = (self.monitor, self.debug_monitor, self.agent, self.console, self.console_log)
        keys = self.layer_keys.values()
        return (*always, *self.local_disks, *keys, *(it for it in (self.variables, self.tpm) if it is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Which hot-plug port each device is in."""

    ports: int
    taken: Mapping[str, int]
    """Ports by volume id, local disk's serial, or id of an interface other than the first."""


def places_of(spec: MachineSpec) -> Places:
    """Return the places of devices in a machine that begins: one after the other, with some free ports behind."""
    names = [
        *(disk.volume_id for disk in spec.disks),
        *(disk.serial for disk in spec.local_disks),
        *(interface.interface_id for interface in _plugged(spec)[1:]),
    ]
    return Places(ports=len(names) + SPARE_PORTS, taken={name: port for port, name in enumerate(names)})


def build(spec: MachineSpec, descriptors: Descriptors, host: Host, waking: Places | None = None) -> list[str]:
    """Return QEMU's argv for a machine. A machine's interface with descriptor -1 is left out.

    One that is `waking` has its devices in these places, and waits for its memory.
    """
    platform = host.platform
    # The processors that QEMU emulates have no threads: "This family of AMD CPU doesn't support hyperthreading".
    threads = 1 if host.accelerator == "tcg" else spec.threads_per_core
    plugged = _plugged(spec)
    places = waking or places_of(spec)
    return [
        platform.binary,
        "-name", spec.machine_id,
        "-no-user-config",
        "-nodefaults",
        "-display", "none",
        *sandbox_arguments(host),
        *machine_arguments(host, descriptors.variables),
        "-accel", {"tcg": "tcg,thread=multi"}.get(host.accelerator, host.accelerator),
        "-cpu", platform.emulated_cpu if host.accelerator == "tcg" else "host",
        "-smp", f"cpus={spec.vcpus},sockets=1,cores={spec.vcpus // threads},threads={threads}",
        "-m", f"{spec.memory_mib}M",
        "-rtc", "base=utc",
        # The process outlives the guest's power-off, so that its disks can be snapshotted at that moment.
        "-action", "shutdown=pause,panic=pause,reboot=reset",
        *smbios_arguments(spec),
        *monitor_arguments("monitor", descriptors.monitor),
        *monitor_arguments("debug", descriptors.debug_monitor),
        *console_arguments(descriptors),
        *agent_arguments(descriptors),
        "-object", "rng-random,id=entropy,filename=/dev/urandom",
        "-device", f"virtio-rng-pci,rng=entropy,addr={RNG_SLOT:#x}",
        *(("-device", f"vmgenid,guid={spec.hardware_uuid}") if platform.has_generation_id else ()),
        "-device", platform.panic_device,
        "-device", platform.screen,
        *tpm_arguments(platform, descriptors.tpm),
        *layer_keys.arguments(descriptors.layer_keys),
        *chain.from_iterable(port_arguments(port) for port in range(places.ports)),
        *chain.from_iterable(
            disk_arguments(n, places.taken[disk.volume_id], disk, flush=host.flush) for n, disk in enumerate(spec.disks)
        ),
        *chain.from_iterable(
            local_disk_arguments(n, places.taken[disk.serial], disk, descriptor)
            for n, (disk, descriptor) in enumerate(zip(spec.local_disks, descriptors.local_disks, strict=True))
        ),
        *chain.from_iterable(interface_arguments(interface) for interface in plugged[:1]),
        # The others can be taken out of a machine that runs.
        *chain.from_iterable(interface_arguments(it, places.taken[it.interface_id]) for it in plugged[1:]),
        *(() if waking is None else ("-incoming", "defer")),
    ]  # fmt: skip


def _plugged(spec: MachineSpec) -> list[MachineInterface]:
    return [interface for interface in spec.interfaces if interface.connection.fd >= 0]


def sandbox_arguments(host: Host) -> list[str]:
    """Return what keeps a guest that took over QEMU from the system calls that QEMU does not need."""
    if not host.is_linux:
        return []
    return ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]


def machine_arguments(host: Host, variables: int | None) -> list[str]:
    """Return the board and its firmware: the platform's own, or UEFI in flash memory with a variable store."""
    firmware, machine = host.firmware, host.platform.machine
    if host.is_linux:
        machine += ",dump-guest-core=off"
    if firmware is None or variables is None:
        return ["-machine", machine, "-boot", "strict=on"]
    code = {"driver": "raw", "node-name": "code", "read-only": True, "file": _file(str(firmware.code))}
    smm = ",smm=on" if firmware.needs_smm else ""
    # QEMU takes no lock of a file that it was given open; nobody else opens it.
    store = {"driver": "raw", "node-name": "variables", "file": _file(f"/dev/fdset/{_VARIABLES_SET}")}
    return [
        "-add-fd", f"fd={variables},set={_VARIABLES_SET}",
        "-blockdev", _json(code),
        "-blockdev", _json(store),
        "-machine", f"{machine}{smm},pflash0=code,pflash1=variables",
        *(("-global", "driver=cfi.pflash01,property=secure,value=on") if firmware.needs_smm else ()),
        # Without a menu some builds wait five seconds for a key.
        "-boot", "strict=on,menu=on,splash-time=0",
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
    log = f"logfile=/dev/fdset/{_CONSOLE_SET},logappend=on"
    return [
        "-add-fd", f"fd={descriptors.console_log},set={_CONSOLE_SET}",
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


def tpm_arguments(platform: Platform, descriptor: int | None) -> list[str]:
    """Return the trusted platform module behind a socket, or nothing where there is none."""
    if descriptor is None:
        return []
    return [
        "-chardev", f"socket,id=tpm,fd={descriptor}",
        "-tpmdev", "emulator,id=tpm,chardev=tpm",
        "-device", f"{platform.tpm_device},tpmdev=tpm",
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


def disk_arguments(position: int, port: int, disk: MachineDisk, *, flush: bool) -> list[str]:
    """Return a disk in a port. The machine boots from the first that is bootable.

    Each is given its place, because the firmware hides disks without one, and a boot loader may need them all.
    """
    name = block_nodes.NodeName(disk.volume_id, 0)
    connection = disk.connection
    node = block_nodes.node_options(name, connection.path, connection.format, flush=flush)
    node |= layer_keys.encryption(connection.key)
    node |= layer_keys.backing(connection.below, connection.key, flush=flush)
    device = block_nodes.disk_options(port, name, disk.bus) | {"bootindex": position + 1}
    return ["-blockdev", _json(node), "-device", _json(device)]


def local_disk_arguments(number: int, port: int, disk: LocalDisk, descriptor: int) -> list[str]:
    """Return a local disk in a port behind those of the first volumes. The machine never boots from it.

    A sparse raw file, for nothing is ever cut or put above it. What the guest synchronised there need not outlive the
    host: EC2 promises nothing of instance store beyond the life of its machine.
    """
    file = _file(f"/dev/fdset/{_LOCAL_SETS + number}") | {"discard": "unmap", "cache": {"no-flush": True}}
    node = {
        "driver": "raw",
        "node-name": f"local{number}",
        "discard": "unmap",
        "cache": {"no-flush": True},
        "file": file,
    }
    device = block_nodes.local_disk_options(port, f"local{number}", disk.serial, disk.bus)
    return [
        "-add-fd",
        f"fd={descriptor},set={_LOCAL_SETS + number}",
        "-blockdev",
        _json(node),
        "-device",
        _json(device),
    ]


def interface_arguments(interface: MachineInterface, port: int | None = None) -> list[str]:
    """Return a network interface on a tap that somebody opened for us: in a port, or without one on the root bus."""
    network = network_of(interface.interface_id)
    return [
        "-netdev", f"tap,id={network},fd={interface.connection.fd},vhost=off",
        "-device", _json(interface_options(interface, port)),
    ]  # fmt: skip


def interface_options(interface: MachineInterface, port: int | None) -> dict[str, Any]:
    """Return what `-device` and `device_add` need of an interface whose network is there."""
    options = {
        "driver": "virtio-net-pci",
        "id": interface.interface_id if port is None else f"nic{port}-{interface.interface_id}",
        "netdev": network_of(interface.interface_id),
        "mac": interface.mac,
        "romfile": "",
        "host_mtu": interface.connection.mtu,
    }
    place = {"addr": f"{INTERFACE_SLOT:x}"} if port is None else {"bus": block_nodes.port_id(port)}
    return options | place


def network_of(interface_id: str) -> str:
    """Return the id of the network back end of an interface."""
    return f"net-{interface_id}"


def interface_of(device: str) -> str | None:
    """Return the interface that a device is; None when it is none."""
    form = _INTERFACE_DEVICE.fullmatch(device)
    return form["interface"] if form else None


def _file(path: str) -> dict[str, Any]:
    return {"driver": "file", "filename": path, "locking": "off"}


def _json(options: Mapping[str, Any]) -> str:
    """Write options so that a comma in a path stays part of the path."""
    return json.dumps(options, separators=(",", ":"))
