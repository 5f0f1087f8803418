"""The hypervisor port by QEMU processes.

A machine is a detached process and a run directory (`run_directory.py`). This object only follows machines
(`fleet.py`): when the server ends, they run on, and the next one finds them by their directories.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.drivers.hypervisor.qemu import accelerator as accelerators
from bakehouse.drivers.hypervisor.qemu import (
    boot_firmware,
    chains,
    command_line,
    guest_agent,
    hibernation,
    kernel_hypervisor,
    live_disks,
    live_interfaces,
    platform_module,
    speed_limits,
)
from bakehouse.drivers.hypervisor.qemu.capabilities import find_capabilities, support_of
from bakehouse.drivers.hypervisor.qemu.consoles import QemuConsoles
from bakehouse.drivers.hypervisor.qemu.fleet import Fleet
from bakehouse.drivers.hypervisor.qemu.launch import close_interfaces, launch
from bakehouse.drivers.hypervisor.qemu.live_disks import TopSwitch
from bakehouse.drivers.hypervisor.qemu.machine import Machine, end_process
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS
from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.drivers.process import UnixUser
from bakehouse.ports.hypervisor import (
    DeviceBusy,
    EndorsementKey,
    HypervisorCapabilities,
    MachineDisk,
    MachineInterface,
    MachineSpec,
    MachineStartFailed,
    MachineState,
    MachineStatus,
    MonitorLost,
)
from bakehouse.ports.volumes import LayerKey

_log: Final = structlog.get_logger(__name__)

#: Guests that are asked before a disk is taken from them.
_HAS_A_SAY: Final = frozenset({MachineState.RUNNING, MachineState.STALLED})
_OFF: Final = frozenset({MachineState.POWERED_OFF, MachineState.GONE})


class QemuHypervisor:
    """Runs machines with QEMU. Fulfils `Hypervisor`, and `LiveDisks` of the qcow2 volume store.

    `start`, `kill` and `forget` of one machine wait for each other; so do changes of its disks.
    """

    def __init__(
        self,
        home: Path,
        *,
        accelerator: str = "auto",
        user: UnixUser | None = None,
        flush: bool = True,
        unplug_deadline_s: float = 5.0,
    ) -> None:
        """Use the directories `home/machines/<machine id>`.

        Args:
            home: Bakehouse's home. Made when the first machine starts.
            accelerator: `auto` to find out, or `kvm`, `hvf` or `tcg`.
            user: Whom QEMU runs as, for a server that is root; it must be able to open the disks. None: QEMU runs as
                ourselves.
            flush: Whether guests' flushes reach the disk. Off makes tests faster; a crash of the host then
                loses what guests believe to be written.
            unplug_deadline_s: How long a guest may take to let go of a disk. A Linux guest takes half a second,
                emulated and busy two.
        """
        if accelerator not in accelerators.SETTINGS:
            raise ValueError(f"accelerator is `{accelerator}`, not one of {', '.join(accelerators.SETTINGS)}")
        self._home = home.resolve()
        self._setting = accelerator
        self._user = user
        self._flush = flush
        self._unplug_deadline_s = unplug_deadline_s
        self._fleet = Fleet(self._home / "machines")
        self.consoles = QemuConsoles(self._fleet.live)
        self._capabilities: HypervisorCapabilities | None = None
        self._proving = asyncio.Lock()

    async def capabilities(self) -> HypervisorCapabilities:
        """Prove which accelerator works; see the port. Without QEMU there are no architectures."""
        async with self._proving:
            if self._capabilities is None:
                self._capabilities = await find_capabilities(self._setting, self._home, self._user)
            return self._capabilities

    async def start(self, spec: MachineSpec) -> None:
        """Start the machine; see the port. The descriptors of its interfaces are closed in any case."""
        try:
            async with self._fleet.lifecycle(spec.machine_id):
                if await self._fleet.find(spec.machine_id) is None:
                    # The disks go on without it.
                    await asyncio.to_thread(self._fleet.run(spec.machine_id).memory.remove)
                    await self._launch(spec)
                await speed_limits.set_at_start(self._fleet.machines[spec.machine_id].monitor, spec.disks)
        finally:
            # Closing a tap takes the kernel some 17 ms.
            await asyncio.shield(asyncio.to_thread(close_interfaces, spec))

    async def hibernate(self, machine_id: str, key: LayerKey | None) -> bool:
        """Save the machine's memory and end it; see the port."""
        run = self._fleet.run(machine_id)
        machine = await self._fleet.live(machine_id)
        if machine is None:
            return await asyncio.to_thread(run.memory.read_record) is not None
        await hibernation.save(machine, key)
        await self._end(machine_id, keep_memory=True)
        return True

    async def wake(self, spec: MachineSpec) -> bool:
        """Start a hibernated machine where it was; see the port. The descriptors are closed in any case."""
        run = self._fleet.run(spec.machine_id)
        try:
            async with self._fleet.lifecycle(spec.machine_id):
                machine = await self._fleet.find(spec.machine_id)
                if machine is not None and await asyncio.to_thread(run.memory.read_record) is not None:
                    # It was about to save or to take in its memory when a server crashed.
                    await self._end_locked(spec.machine_id, keep_memory=True)
                    machine = None
                if machine is None:
                    machine = await self._woken(spec, run)
                if machine is None:
                    await asyncio.to_thread(run.memory.remove)
                    return False
                await speed_limits.set_at_start(machine.monitor, spec.disks)
                await hibernation.go_on(machine)
                return True
        finally:
            await asyncio.shield(asyncio.to_thread(close_interfaces, spec))

    async def press_power_button(self, machine_id: str) -> None:
        """Ask the guest to shut down; see the port."""
        machine = await self._fleet.live(machine_id)
        if machine is not None:
            await machine.monitor.execute("system_powerdown")

    async def pause(self, machine_id: str) -> None:
        """Let the guest stand still; see the port. Its writes in flight have ended afterwards."""
        machine = await self._fleet.live(machine_id)
        if machine is not None and machine.state is MachineState.RUNNING:
            await machine.monitor.execute("stop")
            await machine.refresh()

    async def resume(self, machine_id: str) -> None:
        """Let a guest that stands still go on; see the port."""
        machine = await self._fleet.live(machine_id)
        if machine is not None and machine.state is MachineState.STALLED:
            await machine.monitor.execute("cont")
            await machine.refresh()

    async def wait_powered_off(self, machine_id: str, deadline_s: float) -> bool:
        """Wait until the guest has shut down; see the port."""
        machine = await self._fleet.live(machine_id)
        return machine is None or await machine.wait_for(_OFF, deadline_s=deadline_s)

    async def reset(self, machine_id: str) -> None:
        """Begin again at the firmware; see the port. Nothing happens to a machine that is gone."""
        machine = await self._fleet.live(machine_id)
        if machine is not None:
            await machine.reset()

    async def kill(self, machine_id: str, *, keep_local_disks: bool = False) -> None:
        """End the machine; see the port. What its guest has written is on the disk afterwards."""
        await self._end(machine_id, keep_local_disks=keep_local_disks)

    async def forget(self, machine_id: str) -> None:
        """Remove the run directory; see the port.

        Raises:
            RuntimeError: The machine runs. Nothing was removed.
        """
        run = self._fleet.run(machine_id)
        async with self._fleet.lifecycle(machine_id):
            if await asyncio.to_thread(run.is_locked):
                raise RuntimeError(f"{machine_id} runs; kill it before forgetting it")
            await asyncio.to_thread(run.remove)

    async def attach_disk(self, machine_id: str, disk: MachineDisk) -> None:
        """Plug a disk; see the port.

        Raises:
            DeviceBusy: All ports are taken; the machine has new ones after stop and start.
            MonitorLost: The outcome is unknown, or the machine is gone.
        """
        machine = await self._fleet.needed(machine_id)
        async with machine.disks_lock:
            await live_disks.attach(machine.monitor, disk, flush=self._flush)

    async def detach_disk(self, machine_id: str, volume_id: str, *, force: bool) -> None:
        """Take a disk back; see the port. A guest that does not run has no say: it goes as with `force`."""
        machine = await self._fleet.live(machine_id)
        if machine is None:
            return
        async with machine.disks_lock:
            disk = (await live_disks.look(machine.monitor)).disks.get(volume_id)
            if disk is None:
                return
            await live_disks.request_unplug(machine.monitor, disk.device)
            if force or machine.state not in _HAS_A_SAY:
                await live_disks.take_by_force(machine.monitor, disk)
                return
        # Snapshots and other disks need not wait for the guest.
        if not await machine.wait_unplugged(disk.device, deadline_s=self._unplug_deadline_s):
            raise DeviceBusy(f"the guest of {machine_id} did not let go of {volume_id}")
        async with machine.disks_lock:
            await live_disks.sweep_nodes(machine.monitor, await live_disks.look(machine.monitor))

    async def attach_interface(self, machine_id: str, interface: MachineInterface) -> None:
        """Plug an interface; see the port. One without a descriptor is left out, as at a start.

        Raises:
            DeviceBusy: All ports are taken; the machine has new ones after stop and start.
            MonitorLost: The outcome is unknown, or the machine is gone.
        """
        try:
            machine = await self._fleet.needed(machine_id)
            if interface.connection.fd >= 0:
                async with machine.disks_lock:
                    await live_interfaces.attach(machine.monitor, interface)
        finally:
            await asyncio.shield(asyncio.to_thread(interface.connection.close))

    async def detach_interface(self, machine_id: str, interface_id: str, *, force: bool) -> None:
        """Take an interface back; see the port. A guest that does not run has no say."""
        machine = await self._fleet.live(machine_id)
        if machine is None:
            return
        device = (await live_interfaces.attached(machine.monitor)).get(interface_id)
        if device is not None:
            await live_disks.request_unplug(machine.monitor, device)
            patience_s = 0 if force or machine.state not in _HAS_A_SAY else self._unplug_deadline_s
            if patience_s and not await machine.wait_unplugged(device, deadline_s=patience_s):
                raise DeviceBusy(f"the guest of {machine_id} did not let go of {interface_id}")
        await live_interfaces.release(machine.monitor, interface_id)

    async def limit_disk(self, machine_id: str, volume_id: str, limits: SpeedLimits) -> None:
        """Change how fast a disk may be; see the port."""
        machine = await self._fleet.live(machine_id)
        if machine is not None:
            await speed_limits.change(machine.monitor, {volume_id: limits})

    async def switch_tops(self, machine_id: str, switches: Sequence[TopSwitch]) -> None:
        """Let volumes write to new files from one point in time on: all or, with an exception, none.

        A volume that writes to its new file already is left as it is.

        Raises:
            SwitchRefused: A volume is not plugged in, or writes to a third file.
            CommandRefused: QEMU cannot open a new file.
            MonitorLost: The outcome is unknown, or the machine is gone. Ask `active_tops`.
        """
        machine = await self._fleet.needed(machine_id)
        async with machine.disks_lock:
            await live_disks.switch_tops(machine.monitor, switches, flush=self._flush)

    async def active_tops(self, machine_id: str) -> Mapping[str, Path]:
        """Return the file that each volume is written to, by volume id; nothing when the machine is gone.

        Raises:
            MonitorLost: The machine is there and does not answer.
        """
        machine = await self._fleet.live(machine_id)
        if machine is None:
            return {}
        graph = await live_disks.look(machine.monitor)
        return {volume_id: Path(graph.files[disk.top.file]) for volume_id, disk in graph.disks.items()}

    async def chain_depths(self) -> Mapping[str, int]:
        """Return how many files each volume of a live machine is read through, by volume id. Silent machines: none."""
        found: dict[str, int] = {}
        for machine in list(self._fleet.machines.values()):
            with suppress(MonitorLost):
                found |= await chains.depths(machine.monitor)
        return found

    async def resize_disk(self, machine_id: str, volume_id: str, size_bytes: int) -> bool:
        """Enlarge a volume's file and tell the guest; False when its device is of a kind that cannot be told.

        Raises:
            CommandRefused: Nothing changed.
            MonitorLost: Whether it was enlarged is unknown, or the machine is gone.
        """
        machine = await self._fleet.needed(machine_id)
        async with machine.disks_lock:
            return await live_disks.resize(machine.monitor, volume_id, size_bytes)

    async def reopen_chain(self, below: chains.Below) -> bool:
        """Let the machine that writes to a volume open what is below its top anew; False when none does.

        Raises:
            CommandRefused: It cannot be opened; the machine reads what it read before.
            MonitorLost: Whether it was opened is unknown; the guest reads the same either way.
        """
        return await chains.reopen_where_it_is(list(self._fleet.machines.values()), below, flush=self._flush)

    async def freeze_filesystems(self, machine_id: str) -> bool:
        """Freeze the guest's filesystems; see the port. False also when the agent refuses."""
        machine = await self._fleet.live(machine_id)
        return (
            machine is not None and await guest_agent.listens(machine.monitor) and await guest_agent.freeze(machine.run)
        )

    async def thaw_filesystems(self, machine_id: str) -> None:
        """Undo `freeze_filesystems`; see the port.

        Raises:
            MonitorLost: An agent is there and did not answer: the guest may be frozen still.
        """
        machine = await self._fleet.live(machine_id)
        if machine is None or not await guest_agent.listens(machine.monitor):
            return
        try:
            await guest_agent.thaw(machine.run)
        except guest_agent.AgentSilent as err:
            raise MonitorLost(f"the guest agent of {machine_id} did not thaw its filesystems") from err

    async def console_output(self, machine_id: str) -> bytes:
        """Return the end of the guest's serial console; see the port."""
        return await asyncio.to_thread(self._fleet.run(machine_id).console_tail)

    async def endorsement_keys(self, machine_id: str) -> Mapping[str, EndorsementKey]:
        """Return the keys of the machine's platform module; see the port."""
        return await asyncio.to_thread(platform_module.read_keys, self._fleet.run(machine_id).tpm)

    async def uefi_data(self, machine_id: str) -> bytes | None:
        """Return the machine's UEFI variables; see the port."""
        return await boot_firmware.variables_of(self._fleet.run(machine_id), self._user)

    async def observe(self) -> tuple[MachineStatus, ...]:
        """Look at every machine; see the port. One whose monitor is silent counts as running."""
        return await self._fleet.observe()

    def changes(self) -> AsyncIterator[MachineStatus]:
        """Yield what machines do by themselves; see the port. There is one stream: iterate once."""
        return self._fleet.changes()

    async def close(self) -> None:
        """Let go of all machines. They run on."""
        await self._fleet.close()

    async def _end(self, machine_id: str, *, keep_local_disks: bool = False, keep_memory: bool = False) -> None:
        async with self._fleet.lifecycle(machine_id):
            await self._end_locked(machine_id, keep_local_disks=keep_local_disks, keep_memory=keep_memory)

    async def _end_locked(self, machine_id: str, *, keep_local_disks: bool = False, keep_memory: bool = False) -> None:
        run = self._fleet.run(machine_id)
        machine = self._fleet.machines.pop(machine_id, None)
        if machine is not None:
            await machine.end()
        elif (name := await asyncio.to_thread(run.running_process)) is not None:
            await end_process(name)
        await platform_module.wait_until_ended(run.tpm)
        await asyncio.to_thread(run.remove_useless, keep_local_disks=keep_local_disks, keep_memory=keep_memory)

    async def _woken(self, spec: MachineSpec, run: RunDirectory) -> Machine | None:
        """Return the machine with its memory taken in; None when it cannot be, and nothing runs then."""
        record = await hibernation.record_that_fits(run, spec)
        if record is None:
            return None
        try:
            await self._launch(spec, waking=hibernation.places(record))
            await hibernation.load(self._fleet.machines[spec.machine_id], spec, record)
        except (MachineStartFailed, MonitorLost, hibernation.NotWoken) as err:
            _log.warning("a hibernated machine does not wake up", machine=spec.machine_id, error=str(err))
            await self._end_locked(spec.machine_id)
            return None
        return self._fleet.machines[spec.machine_id]

    async def _launch(self, spec: MachineSpec, waking: command_line.Places | None = None) -> None:
        support = support_of(await self.capabilities(), spec)
        platform = PLATFORMS[spec.architecture]
        host = command_line.Host(
            platform=platform,
            accelerator=support.accelerator,
            flush=self._flush,
            is_linux=kernel_hypervisor.host_is_linux(),
        )
        run = self._fleet.run(spec.machine_id)
        self._fleet.machines[spec.machine_id] = await launch(spec, run, host, self._user, self._fleet.hear, waking)
