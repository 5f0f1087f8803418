"""Images made of files of this host, for the command line: the same task as ImportImage, waited for."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bakehouse.app.encryption import chosen_key, prepare_default_key
from bakehouse.app.image_catalogue import ImageCatalogue, check_new_image
from bakehouse.app.image_registration import check_architecture
from bakehouse.domain.block_device import check_device_name
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, incorrect_state, invalid_parameter, invalid_value
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import DISK_BUSES, Image
from bakehouse.domain.image_boot import check_boot_members
from bakehouse.domain.import_task import DiskSource, ImportImageTask
from bakehouse.domain.kms_key import Encryption
from bakehouse.domain.public_parameter import check_public_parameter_name
from bakehouse.domain.volume import storage_full
from bakehouse.ports.volumes import StorageFull, UnsafeImage
from bakehouse.sagas.import_disks import IMPORT_DISKS, ImportDisks
from bakehouse.sagas.transfers import TransferCancelled

#: How often the one who waits is told how far it is.
_TELL_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportImage:
    """An image to be made of a file on this host: a disk, or an OVA with several."""

    path: Path
    name: str
    description: str = ""
    architecture: str = "x86_64"
    root_device_name: str = "/dev/xvda"
    boot_mode: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    public_parameter: str | None = None
    """The name under `/aws/service/` that stands for the image from now on."""
    disk_bus: str = "nvme"
    """How instances see their volumes: `nvme`, or `virtio` if the image is known to find its root there."""


class ImageImports(ImageCatalogue):
    """Use cases on files that are to become images."""

    async def import_file(self, caller: Caller, order: ImportImage, *, progress: Callable[[float], None]) -> Image:
        """Take in a file of this host, and return the image made of it, `available`.

        `progress` is called with fractions from 0 to 1. Refuses a name in use before anything is read
        (InvalidAMIName.Duplicate), a file that is unsafe or no disk (InvalidParameterValue), and any on a full host
        (InsufficientVolumeCapacity). It is an import task like others: one that is cancelled is refused too
        (IncorrectState), and one whose server is killed is finished by the next.
        """
        context = self._context
        check_new_image(context, caller, order.name, order.description, order.tags)
        check_architecture(order.architecture)
        check_device_name(order.root_device_name)
        check_boot_members(boot_mode=order.boot_mode, tpm_support=None, uefi_data=None)
        if order.disk_bus not in DISK_BUSES:
            raise invalid_value(order.disk_bus, "diskBus", "It can be nvme or virtio.")
        if order.public_parameter is not None:
            check_public_parameter_name(order.public_parameter)
        await prepare_default_key(context, caller)
        task = self._task(caller, order)
        async with context.store.transaction() as tx:
            tx.put(task)
            saga_id = context.sagas.enlist(tx, IMPORT_DISKS, ImportDisks(task_id=task.id), subject_id=task.id)
        importing = context.sagas.begin(saga_id)
        while not importing.done():
            await asyncio.wait([importing], timeout=_TELL_S)
            progress(context.transfers.of(task.id).fraction)
        _refuse(order.path, importing)
        progress(1.0)
        return context.store.images[task.image_id]

    def _task(self, caller: Caller, order: ImportImage) -> ImportImageTask:
        return ImportImageTask(
            id=new_id("import-image-task"),
            account_id=caller.account_id,
            region=caller.region,
            description=order.description,
            sources=(DiskSource(path=str(order.path), device_name=order.root_device_name),),
            started_at=self._context.now(),
            kms_key_id=chosen_key(self._context, caller, Encryption()),
            image_id=new_id("image"),
            image_name=order.name,
            image_description=order.description,
            architecture=order.architecture,
            boot_mode=order.boot_mode,
            image_tags=dict(order.tags),
            public_parameter=order.public_parameter,
            disk_bus=order.disk_bus,
        )


def _refuse(path: Path, importing: asyncio.Task[None]) -> None:
    """Raise what the command line hears of an import that failed."""
    try:
        importing.result()
    except UnsafeImage as err:
        raise invalid_parameter(f"The file {path} was refused: {err}") from err
    except StorageFull as err:
        raise storage_full() from err
    except TransferCancelled as err:
        raise incorrect_state("The import was cancelled") from err
    except OSError as err:
        raise Ec2Error("InvalidParameterValue", f"The file {path} cannot be read: {err.strerror or err}") from err
