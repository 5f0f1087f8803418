"""Every saga by its name: what the engine knows how to resume."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.sagas.apply_network_interface import APPLY_NETWORK_INTERFACE
from bakehouse.sagas.apply_segment import APPLY_SEGMENT
from bakehouse.sagas.archive_snapshot import ARCHIVE_SNAPSHOT
from bakehouse.sagas.attach_network_interface import ATTACH_NETWORK_INTERFACE
from bakehouse.sagas.attach_volume import ATTACH_VOLUME
from bakehouse.sagas.complete_snapshot import COMPLETE_SNAPSHOT
from bakehouse.sagas.copy_image import COPY_IMAGE, ENCRYPT_IMAGE
from bakehouse.sagas.copy_snapshot import COPY_SNAPSHOT
from bakehouse.sagas.copy_volume import COPY_VOLUME
from bakehouse.sagas.create_fleet import CREATE_FLEET
from bakehouse.sagas.create_image import CREATE_IMAGE
from bakehouse.sagas.create_snapshots import CREATE_SNAPSHOTS
from bakehouse.sagas.create_volume import CREATE_VOLUME
from bakehouse.sagas.delete_recycled_volume import DELETE_RECYCLED_VOLUME
from bakehouse.sagas.delete_snapshots import DELETE_SNAPSHOTS
from bakehouse.sagas.delete_volume import DELETE_VOLUME
from bakehouse.sagas.detach_network_interface import DETACH_NETWORK_INTERFACE
from bakehouse.sagas.detach_volume import DETACH_VOLUME
from bakehouse.sagas.encrypt_snapshot import ENCRYPT_SNAPSHOT
from bakehouse.sagas.engine import Saga
from bakehouse.sagas.export_disk import EXPORT_DISK
from bakehouse.sagas.import_disks import IMPORT_DISKS
from bakehouse.sagas.modify_volume import MODIFY_VOLUME
from bakehouse.sagas.reboot_instance import REBOOT_INSTANCE
from bakehouse.sagas.replace_root_volume import REPLACE_ROOT_VOLUME
from bakehouse.sagas.restore_image import RESTORE_IMAGE
from bakehouse.sagas.restore_snapshot import RESTORE_SNAPSHOT
from bakehouse.sagas.run_instance import RUN_INSTANCE
from bakehouse.sagas.security_group import APPLY_SECURITY_GROUP
from bakehouse.sagas.settle_snapshot import SETTLE_SNAPSHOT
from bakehouse.sagas.start_instance import START_INSTANCE
from bakehouse.sagas.start_snapshot import START_SNAPSHOT
from bakehouse.sagas.stop_instance import STOP_INSTANCE
from bakehouse.sagas.store_image import STORE_IMAGE
from bakehouse.sagas.terminate_instance import TERMINATE_INSTANCE

_ALL: Final[tuple[Saga[Any], ...]] = (
    APPLY_NETWORK_INTERFACE,
    APPLY_SECURITY_GROUP,
    APPLY_SEGMENT,
    ARCHIVE_SNAPSHOT,
    ATTACH_NETWORK_INTERFACE,
    ATTACH_VOLUME,
    COMPLETE_SNAPSHOT,
    COPY_IMAGE,
    COPY_SNAPSHOT,
    COPY_VOLUME,
    CREATE_FLEET,
    CREATE_IMAGE,
    CREATE_SNAPSHOTS,
    CREATE_VOLUME,
    DELETE_RECYCLED_VOLUME,
    DELETE_SNAPSHOTS,
    DELETE_VOLUME,
    DETACH_NETWORK_INTERFACE,
    DETACH_VOLUME,
    ENCRYPT_IMAGE,
    ENCRYPT_SNAPSHOT,
    EXPORT_DISK,
    IMPORT_DISKS,
    MODIFY_VOLUME,
    REBOOT_INSTANCE,
    REPLACE_ROOT_VOLUME,
    RESTORE_IMAGE,
    RESTORE_SNAPSHOT,
    RUN_INSTANCE,
    SETTLE_SNAPSHOT,
    START_INSTANCE,
    START_SNAPSHOT,
    STOP_INSTANCE,
    STORE_IMAGE,
    TERMINATE_INSTANCE,
)

SAGAS: Final[Mapping[str, Saga[Any]]] = {saga.name: saga for saga in _ALL}
