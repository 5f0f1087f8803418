"""Keys of encrypted disks, on their way to QEMU: at its start through memory without a name, later by its monitor.

A key is in no argument and in no record of a machine. QEMU needs it while it opens a file; then it has the file's own.
Source: QEMU's `docs/system/secrets.rst`: "The most secure ... is to use a file", which may be a descriptor.
"""

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from bakehouse.drivers.hypervisor.qemu.monitor import CommandRefused, Monitor
from bakehouse.ports.hypervisor import MachineDisk, MachineSpec
from bakehouse.ports.volumes import FileBelow, LayerKey, VolumeConnection


def of_connections(connections: Iterable[VolumeConnection]) -> Mapping[str, LayerKey]:
    """Return the keys that open these disks, by their ids."""
    return of_files(file for it in connections for file in (top_of(it), *it.below))


def of_files(files: Iterable[FileBelow]) -> Mapping[str, LayerKey]:
    """Return the keys that open these files, by their ids."""
    return {file.key.id: file.key for file in files if file.key is not None}


def top_of(connection: VolumeConnection) -> FileBelow:
    """Return a disk's own file."""
    return FileBelow(path=connection.path, format=connection.format, key=connection.key)


def open_descriptors(keys: Mapping[str, LayerKey]) -> dict[str, int]:
    """Return a descriptor for each key, from which it can be read. They are the caller's to close."""
    opened = {}
    for key_id, key in keys.items():
        opened[key_id] = os.memfd_create(key_id)
        os.write(opened[key_id], key.passphrase.encode())
    return opened


def arguments(descriptors: Mapping[str, int]) -> list[str]:
    """Return QEMU's arguments that tell where its keys are."""
    return [
        word
        for key_id, descriptor in descriptors.items()
        for word in ("-object", f"secret,id={key_id},file=/dev/fd/{descriptor}")
    ]


@asynccontextmanager
async def known(monitor: Monitor, keys: Mapping[str, LayerKey]) -> AsyncIterator[None]:
    """Let a running machine know keys for as long as the block opens files."""
    for key in keys.values():
        # It may be there since the machine's start; as the same id is the same key, that is as good.
        with suppress(CommandRefused):
            secret = {"qom-type": "secret", "id": key.id, "data": key.passphrase}
            await monitor.execute("object-add", secret)
    try:
        yield
    finally:
        for key_id in keys:
            with suppress(CommandRefused):
                await monitor.execute("object-del", {"id": key_id})


def encryption(key: LayerKey | None) -> dict[str, Any]:
    """Return what the options of a node say of its encryption."""
    return {} if key is None else {"encrypt": {"format": "luks", "key-secret": key.id}}


def backing(below: Sequence[FileBelow], key: LayerKey | None, *, flush: bool) -> dict[str, Any]:
    """Return what the options of a node say of the files below it: nothing where its header says it."""
    if not below:
        return {} if key is None else {"backing": None}
    first, cache = below[0], {"direct": False, "no-flush": not flush}
    return {
        "backing": {
            "driver": first.format,
            "read-only": True,
            "cache": cache,
            "file": {"driver": "file", "filename": first.path, "cache": cache},
            **encryption(first.key),
            **backing(below[1:], first.key, flush=flush),
        }
    }


def without_keys(spec: MachineSpec) -> MachineSpec:
    """Return a machine as it may be written down."""
    return replace(spec, disks=tuple(_without_keys(disk) for disk in spec.disks))


def _without_keys(disk: MachineDisk) -> MachineDisk:
    connection = disk.connection
    below = tuple(replace(file, key=None) for file in connection.below)
    return replace(disk, connection=replace(connection, key=None, below=below))
