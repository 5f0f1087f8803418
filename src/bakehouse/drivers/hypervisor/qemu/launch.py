"""Starting a machine's process, or leaving nothing behind."""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu import (
    boot_firmware,
    command_line,
    layer_keys,
    platform_module,
    uefi_variables,
)
from bakehouse.drivers.hypervisor.qemu.machine import Machine, end_process
from bakehouse.drivers.hypervisor.qemu.run_directory import (
    AGENT_SOCKET,
    CONSOLE_SOCKET,
    DEBUG_SOCKET,
    MONITOR_SOCKET,
    LaunchRecord,
    MachineRuns,
    ProcessName,
    RunDirectory,
)
from bakehouse.drivers.process import UnixUser
from bakehouse.ports.hypervisor import MachineSpec, MachineStartFailed, MachineUnsupported, MonitorLost

#: QEMU answers 35 ms after its start; many starting at once on a busy host take seconds.
ANSWER_DEADLINE_S: Final = 60.0

_UNPREPARED: Final = (platform_module.ModuleFailed, uefi_variables.VariablesRefused)


async def launch(
    spec: MachineSpec,
    run: RunDirectory,
    host: command_line.Host,
    user: UnixUser | None,
    on_change: Callable[[Machine], None],
    waking: command_line.Places | None = None,
) -> Machine:
    """Start a machine and return it once its monitor has answered and its record is on disk.

    One that is `waking` has its devices in these places, and waits for its memory.

    Raises:
        MachineStartFailed: Nothing is left behind, the run directory neither. MachineUnsupported where the host has
            not the firmware.
        MonitorLost: The process neither answered nor could be ended.
    """
    machine: Machine | None = None
    modules: list[ProcessName] = []
    started_before = run.path.exists()
    try:
        name, argv = await _spawn(spec, run, host, user, modules, waking)
        machine = Machine(run, name, on_change)
        kept = layer_keys.without_keys(spec)
        record = LaunchRecord(pid=name.pid, start_time=name.start_time, argv=argv, spec=kept)
        # The record's way to the disk is hidden behind QEMU's own start.
        writing = asyncio.create_task(asyncio.to_thread(run.write_record, record))
        try:
            await machine.follow(deadline_s=ANSWER_DEADLINE_S)
        finally:
            await writing
    except MachineRuns as err:
        raise MonitorLost(f"another process holds {spec.machine_id}") from err
    except boot_firmware.FirmwareMissing as err:
        await _abandon(run, machine, modules, started_before=started_before)
        raise MachineUnsupported(str(err)) from err
    except _UNPREPARED as err:
        await _abandon(run, machine, modules, started_before=started_before)
        raise MachineStartFailed(f"the machine's firmware could not be made ready: {err}") from err
    except (MonitorLost, OSError, process.ProcessFailed) as err:
        last_words = run.last_words()
        await _abandon(run, machine, modules, started_before=started_before)
        raise MachineStartFailed(f"QEMU did not start: {last_words or err}") from err
    except BaseException:
        await asyncio.shield(_abandon(run, machine, modules, started_before=started_before))
        raise
    return machine


def close_interfaces(spec: MachineSpec) -> None:
    """Close the descriptors of a machine's interfaces, which its process has of its own by now."""
    for interface in spec.interfaces:
        if interface.connection.fd >= 0:
            os.close(interface.connection.fd)


async def _spawn(
    spec: MachineSpec,
    run: RunDirectory,
    host: command_line.Host,
    user: UnixUser | None,
    modules: list[ProcessName],
    waking: command_line.Places | None,
) -> tuple[ProcessName, tuple[str, ...]]:
    """Start QEMU, and before it the platform module that it talks to, which is put into `modules`."""
    with ExitStack() as stack:

        def kept_until_started(descriptor: int) -> int:
            stack.callback(os.close, descriptor)
            return descriptor

        def listen(name: str) -> int:
            return stack.enter_context(run.listen(name)).fileno()

        run.make()
        lock = kept_until_started(run.take_lock())
        run.qemu_log.unlink(missing_ok=True)
        variables = None
        if spec.boot_mode == "uefi":
            host = replace(host, firmware=await boot_firmware.prepare(spec, run, host.platform, user))
            variables = kept_until_started(run.open_variables())
        tpm = None
        if spec.has_tpm:
            connection, module = await platform_module.start(run.tpm, user)
            tpm = stack.enter_context(connection).fileno()
            begun = process.start_time(module)
            if begun is not None:
                modules.append(ProcessName(module, begun))
        local_disks = tuple(
            kept_until_started(run.open_local_disk(number, disk.size_bytes))
            for number, disk in enumerate(spec.local_disks)
        )
        keys = layer_keys.open_descriptors(layer_keys.of_connections(disk.connection for disk in spec.disks))
        for descriptor in keys.values():
            kept_until_started(descriptor)
        descriptors = command_line.Descriptors(
            monitor=listen(MONITOR_SOCKET),
            debug_monitor=listen(DEBUG_SOCKET),
            agent=listen(AGENT_SOCKET),
            console=listen(CONSOLE_SOCKET),
            console_log=kept_until_started(run.open_console_log(anew=waking is None)),
            variables=variables,
            local_disks=local_disks,
            tpm=tpm,
            layer_keys=keys,
        )
        taps = [it.connection.fd for it in spec.interfaces if it.connection.fd >= 0]
        argv = command_line.build(spec, descriptors, host, waking)
        pid = await process.spawn_detached(
            argv,
            log=run.qemu_log,
            pass_fds=[lock, *descriptors.all(), *taps],
            user=user,
        )
    started = process.start_time(pid)
    if started is None:
        raise MonitorLost(f"{spec.machine_id} ended at once")
    return ProcessName(pid, started), tuple(argv)


async def _abandon(
    run: RunDirectory, machine: Machine | None, modules: list[ProcessName], *, started_before: bool
) -> None:
    """Remove every trace of a start that failed, but what a guest keeps over stops."""
    if machine is not None:
        await machine.end()
    for module in modules:
        await end_process(module)
    await asyncio.to_thread(run.remove_but_kept if started_before else run.remove)
