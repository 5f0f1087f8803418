"""The hypervisor port: what Bakehouse asks of whatever runs its machines.

A Machine is one guest as the host runs it; an Instance is what the API shows. A machine carries its
instance's id, so that a call cut short can be found again by that id. Every method may be repeated.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.ports.consoles import Consoles
from bakehouse.ports.network import InterfaceConnection
from bakehouse.ports.volumes import LayerKey, VolumeConnection


class MachineStartFailed(Exception):
    """The machine did not start. Nothing is left behind: no process, no socket, no tap in use."""


class MachineUnsupported(MachineStartFailed):
    """This host lacks a program or a firmware that such a machine needs. Nothing is left behind; so it stays."""


class MonitorLost(Exception):
    """The outcome is unknown: the machine's monitor did not answer. Call `observe` before anything else."""


class NotHibernated(Exception):
    """The machine's memory could not be saved. The guest runs on; nothing is left of the attempt."""


class DeviceBusy(Exception):
    """The guest did not let go of a device in time; it is still attached. Ask again or force."""


class UefiDataUnreadable(Exception):
    """A guest has spoilt its UEFI variable store."""


class DiskBus(StrEnum):
    """How a guest sees a disk."""

    NVME = "nvme"
    """As on Nitro. Its size cannot change, nor its machine's memory be saved, while it is plugged in."""
    VIRTIO = "virtio"
    """A virtio block device: its guest sees a new size at once."""


class MachineState(StrEnum):
    """What a machine is doing, as its monitor and its process tell."""

    RUNNING = "running"
    POWERED_OFF = "powered-off"
    """The guest has shut down; its disks are quiet and complete; the machine still holds its devices."""
    PANICKED = "panicked"
    STALLED = "stalled"
    """The guest stands still in the middle of what it did: it was paused, or a write found no room on the host."""
    GONE = "gone"
    """There is no process. Its run directory may still be there for the console log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDisk:
    """One disk of a machine. The volume's id becomes the disk's serial, without its hyphen, as on EC2."""

    volume_id: str
    connection: VolumeConnection
    bus: DiskBus = DiskBus.NVME
    limits: SpeedLimits = SpeedLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDisk:
    """A disk that comes with the machine, empty at first; it goes when the machine is killed."""

    serial: str
    size_bytes: int
    bus: DiskBus = DiskBus.NVME


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineInterface:
    """One network interface of a machine."""

    interface_id: str
    mac: str
    connection: InterfaceConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """All that is needed to start a machine. Sizes in MiB; disks in boot order, root first."""

    machine_id: str
    """The instance's id (`i-...`); also the SMBIOS type 2 asset."""
    instance_type: str
    architecture: str
    vcpus: int
    memory_mib: int
    disks: tuple[MachineDisk, ...]
    interfaces: tuple[MachineInterface, ...]
    boot_mode: str = "legacy-bios"
    """`legacy-bios` or `uefi`. A machine that boots by UEFI keeps its variables until it is forgotten."""
    has_tpm: bool = False
    """Whether it has a trusted platform module 2.0. What that keeps stays until the machine is forgotten."""
    uefi_data: bytes | None = None
    """UEFI variables that a machine that boots by UEFI has when it starts first: EC2's `UefiData`, in base64."""
    threads_per_core: int = 1
    """How many of `vcpus` the guest sees as threads of one core."""
    local_disks: tuple[LocalDisk, ...] = ()
    """They take no space until the guest writes. Those that `kill` kept are there again, as they were."""
    hardware_uuid: str
    """Lower case and begins with `ec2`, so that cloud-init knows EC2. Stable over stop and start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementKey:
    """The public key that a trusted platform module is known by."""

    tpmt: bytes
    """As the module writes it. Source: TPM 2.0 Library, part 2, TPMT_PUBLIC."""
    der: bytes
    """SubjectPublicKeyInfo, as OpenSSL reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStatus:
    """What `observe` saw of one machine."""

    machine_id: str
    state: MachineState
    volume_ids: frozenset[str] = field(default_factory=frozenset)
    """Volumes the running machine holds; empty when GONE."""
    interface_ids: frozenset[str] = field(default_factory=frozenset)
    """Its network interfaces, those that were taken by force perhaps too; empty when GONE."""
    answers: bool = True
    """Whether its monitor answers: a machine that runs, and does not, is out of order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSupport:
    """How this host runs guests of one architecture."""

    accelerator: str
    """`kvm`, `hvf` or `tcg`."""
    accelerator_reason: str
    """One sentence: what was tried and what happened."""
    boot_modes: frozenset[str]
    """`legacy-bios`, `uefi`: those there is firmware for."""
    has_tpm: bool = False
    """Whether they can have a trusted platform module."""
    has_uefi_data: bool = False
    """Whether their UEFI variables can be read and written."""
    has_secure_boot: bool = False
    """Whether there is firmware that enforces Secure Boot; without it, variables that enrol keys start no machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HypervisorCapabilities:
    """What this host can run, and how that was found out."""

    accelerator: str
    """`kvm`, `hvf` or `tcg`: what runs guests of the host's own architecture."""
    accelerator_reason: str
    """One sentence: what was tried and what happened."""
    isolates: bool
    """Whether the accelerator promises isolation. QEMU promises none under TCG."""
    version: str
    guests: Mapping[str, GuestSupport]
    """By architecture, the host's own first."""

    @property
    def architectures(self) -> tuple[str, ...]:
        """What guests can be of."""
        return tuple(self.guests)


class Hypervisor(Protocol):
    """Runs machines. They outlive the server: a new one finds them again by their run directories."""

    @property
    def consoles(self) -> Consoles:
        """The consoles of these machines."""
        ...

    async def capabilities(self) -> HypervisorCapabilities:
        """Prove which accelerator works, once per host boot and hypervisor version, and return it."""
        ...

    async def start(self, spec: MachineSpec) -> None:
        """Start the machine and return once its monitor answers.

        Repeating the call for a machine that already runs limits its disks, and does nothing else. The guest boots
        from the first disk.

        Raises:
            MachineStartFailed: Nothing is left behind. MachineUnsupported where this host lacks what it needs.
            MonitorLost: The outcome is unknown.
        """
        ...

    async def press_power_button(self, machine_id: str) -> None:
        """Ask the guest to shut down (ACPI). Returns at once; nothing happens to a machine that is gone."""
        ...

    async def pause(self, machine_id: str) -> None:
        """Let the guest stand still: it runs and writes nothing until `resume`. Gone or off: nothing happens."""
        ...

    async def resume(self, machine_id: str) -> None:
        """Let a guest that stands still go on; writes that found no room are tried again. Others: nothing happens."""
        ...

    async def wait_powered_off(self, machine_id: str, deadline_s: float) -> bool:
        """Wait until the guest has shut down, or the machine is gone; False when the deadline passed first."""
        ...

    async def reset(self, machine_id: str) -> None:
        """Begin again at the firmware, from POWERED_OFF or in the middle of running. Same devices, same process."""
        ...

    async def kill(self, machine_id: str, *, keep_local_disks: bool = False) -> None:
        """End the machine now and return once it holds nothing. Succeeds when there is no such machine.

        Its local disks go with it, unless they are to be there again with the next start.
        """
        ...

    async def hibernate(self, machine_id: str, key: LayerKey | None) -> bool:
        """Save the machine's memory, by which `wake` lets it go on, and end it; it holds nothing afterwards.

        With a key, what is saved is encrypted by it. Of a machine that is gone it tells whether its memory is there.

        Raises:
            NotHibernated: The guest runs on, as before.
            MonitorLost: The outcome is unknown.
        """
        ...

    async def wake(self, spec: MachineSpec) -> bool:
        """Start a hibernated machine where it was, and return once its guest goes on.

        If it has an agent, its clock is right then. False when there is no such memory, or it does not fit the spec or
        cannot be read: nothing is left of it, and the machine can only start anew. Repeating the call for a machine
        that woke up does nothing else than `start` does. The memory's key is one of those of the spec's first disk.

        Raises:
            MonitorLost: The outcome is unknown.
        """
        ...

    async def forget(self, machine_id: str) -> None:
        """Remove what `kill` leaves for reading (console log, launch record). Succeeds when there is nothing."""
        ...

    async def attach_disk(self, machine_id: str, disk: MachineDisk) -> None:
        """Plug a disk into a running machine; done already: nothing happens.

        Raises:
            MonitorLost: The outcome is unknown.
        """
        ...

    async def detach_disk(self, machine_id: str, volume_id: str, *, force: bool) -> None:
        """Ask the guest for the disk back and unplug it. With `force` it goes without the guest's consent.

        Raises:
            DeviceBusy: The guest kept it; still attached.
        """
        ...

    async def attach_interface(self, machine_id: str, interface: MachineInterface) -> None:
        """Plug a network interface into a running machine; done already: nothing happens.

        Its descriptor is closed in any case.

        Raises:
            DeviceBusy: The machine has no room for it.
            MonitorLost: The outcome is unknown.
        """
        ...

    async def detach_interface(self, machine_id: str, interface_id: str, *, force: bool) -> None:
        """Ask the guest for the interface back and unplug it. With `force` it goes without the guest's consent.

        Raises:
            DeviceBusy: The guest kept it; still attached.
        """
        ...

    async def limit_disk(self, machine_id: str, volume_id: str, limits: SpeedLimits) -> None:
        """Let a disk be as fast as this from now on, and not faster. Not in a live machine: nothing happens.

        Raises:
            MonitorLost: The outcome is unknown.
        """
        ...

    async def freeze_filesystems(self, machine_id: str) -> bool:
        """Freeze the guest's filesystems by its agent. False when no agent answers within some seconds."""
        ...

    async def thaw_filesystems(self, machine_id: str) -> None:
        """Undo `freeze_filesystems`. Succeeds when nothing is frozen or the machine is gone."""
        ...

    async def console_output(self, machine_id: str) -> bytes:
        """Return all that the guest wrote to its serial console and is still kept (at least the last 64 KiB)."""
        ...

    async def endorsement_keys(self, machine_id: str) -> Mapping[str, EndorsementKey]:
        """Return the keys of the machine's platform module by EC2's names of their kinds; nothing without a module."""
        ...

    async def uefi_data(self, machine_id: str) -> bytes | None:
        """Return the machine's UEFI variables as they are now, as EC2's `UefiData` in base64; None when it has none.

        Raises:
            UefiDataUnreadable: The guest has written something else where they were.
        """
        ...

    async def observe(self) -> tuple[MachineStatus, ...]:
        """Look at every machine of this home, adopting those that an earlier server started."""
        ...

    def changes(self) -> AsyncIterator[MachineStatus]:
        """Yield a status whenever a machine changes by itself: powered off, reset, panicked, gone."""
        ...

    async def close(self) -> None:
        """Let go of the machines, which run on. The last call of a server."""
        ...
