"""Root volume replacement tasks: begun on running instances, and told of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.encryption import chosen_key
from bakehouse.app.launch import launchable_image
from bakehouse.app.snapshots import completed_snapshot
from bakehouse.domain.block_device import performance
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import not_found
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import Image
from bakehouse.domain.image_boot import check_variables, current_boot_mode
from bakehouse.domain.instance import Instance, InstanceState, instance_has_no_root, instance_must_be
from bakehouse.domain.instance_store import local_disks
from bakehouse.domain.instance_type import INSTANCE_TYPES
from bakehouse.domain.kms_key import Encryption
from bakehouse.domain.replace_root_volume_task import (
    UNDER_WAY,
    ReplaceRootState,
    ReplaceRootVolumeTask,
    check_lineage,
    check_one_source,
    image_does_not_fit,
    no_launch_state,
    replacement_under_way,
)
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import snapshot_archived
from bakehouse.domain.tags import check_tags
from bakehouse.domain.volume import (
    VOLUME_TYPES,
    Volume,
    VolumeState,
    volume_already_attached,
    volume_not_available,
    volume_zone_mismatch,
)
from bakehouse.ports.hypervisor import GuestSupport
from bakehouse.sagas.machine import volumes_of
from bakehouse.sagas.replace_root_volume import IMAGE_MEMBERS, REPLACE_ROOT_VOLUME, ReplaceRootVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class RootReplacementRequest:
    """What CreateReplaceRootVolumeTask asks for. No source is the root's launch state."""

    instance_id: str
    snapshot_id: str | None = None
    image_id: str | None = None
    volume_id: str | None = None
    deletes_replaced: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The replacement, and what becomes of the instance beside."""

    volume: Volume
    instance: Instance
    """As it is afterwards."""
    is_new: bool = True
    image_id: str | None = None
    forgets_firmware: bool = False


class RootReplacements:
    """Use cases on root volume replacement tasks."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, request: RootReplacementRequest) -> ReplaceRootVolumeTask:
        """Begin to replace the root of a running instance; return the task at once: `pending`.

        Refuses an instance that is not running (IncorrectInstanceState) or whose root is being replaced
        (IncorrectState), more than one source (InvalidParameterCombination), a snapshot that was not taken of a root of
        the instance, a root that came of no snapshot where none is named, an image that does not fit
        (InvalidParameterValue), and a volume that is attached (VolumeInUse), not available (IncorrectState) or in
        another zone (InvalidVolume.ZoneMismatch).
        """
        check_one_source(snapshotId=request.snapshot_id, imageId=request.image_id, volumeId=request.volume_id)
        check_tags(request.tags)
        guests = (await self._context.hypervisor.capabilities()).guests
        store, sagas = self._context.store, self._context.sagas
        async with store.transaction() as tx:
            instance, root = self._replaceable(caller, request.instance_id)
            plan = self._plan(caller, instance, root, request, guests)
            task = ReplaceRootVolumeTask(
                id=new_id("replace-root-volume-task"),
                account_id=instance.account_id,
                region=instance.region,
                instance_id=instance.id,
                volume_id=plan.volume.id,
                replaced_volume_id=root.id,
                started_at=self._context.now().replace(microsecond=0),
                image_id=plan.image_id,
                snapshot_id=plan.volume.snapshot_id if plan.is_new else None,
                deletes_replaced=request.deletes_replaced,
                tags=dict(request.tags),
            )
            tx.put(task)
            if plan.is_new:
                tx.put(plan.volume)
            tx.remember(caller, task.id, self._context.now().timestamp())
            params = _params(task, instance, root, plan)
            saga_id = sagas.enlist(tx, REPLACE_ROOT_VOLUME, params, subject_id=instance.id)
        sagas.begin(saga_id)
        return task

    def describe(self, caller: Caller, task_ids: Iterable[str] | None = None) -> list[ReplaceRootVolumeTask]:
        """Return the caller's tasks, all, oldest first, or these."""
        tasks = self._context.store.replace_root_volume_tasks
        return scope(tasks, caller) if task_ids is None else owned(tasks, caller, "replace-root-volume-task", task_ids)

    async def forget_old(self) -> None:
        """Forget the tasks of instances that are forgotten."""
        store = self._context.store
        async with store.transaction() as tx:
            for task in list(store.replace_root_volume_tasks):
                if task.instance_id not in store.instances and task.state not in UNDER_WAY:
                    tx.delete(task)

    def _replaceable(self, caller: Caller, instance_id: str) -> tuple[Instance, Volume]:
        store = self._context.store
        (instance,) = owned(store.instances, caller, "instance", [instance_id])
        if instance.state is not InstanceState.RUNNING:
            raise instance_must_be(instance.id, "running")
        for task in store.replace_root_volume_tasks.by("instance")[instance.id].values():
            if task.state in UNDER_WAY:
                raise replacement_under_way(instance.id, task.id)
        for volume in volumes_of(store, instance)[:1]:
            if volume.attachment is not None and volume.attachment.device_name == instance.root_device_name:
                return instance, volume
        raise instance_has_no_root(instance.id, instance.root_device_name)

    def _plan(
        self,
        caller: Caller,
        instance: Instance,
        root: Volume,
        request: RootReplacementRequest,
        guests: Mapping[str, GuestSupport],
    ) -> _Plan:
        if request.volume_id is not None:
            return _Plan(volume=self._free_volume(caller, instance, request.volume_id), instance=instance, is_new=False)
        if request.image_id is not None:
            image = launchable_image(self._context, caller, request.image_id)
            support = guests.get(instance.architecture)
            return self._from_image(instance, root, image, support)
        if request.snapshot_id is not None:
            snapshot = completed_snapshot(self._context, caller, request.snapshot_id)
            check_lineage(snapshot.volume_id, snapshot.id, instance.id, self._roots(instance, root))
        else:
            snapshot = self._launch_state(root)
        return _Plan(volume=self._replacement(root, snapshot, root.size_gib), instance=instance)

    def _roots(self, instance: Instance, root: Volume) -> set[str]:
        tasks = self._context.store.replace_root_volume_tasks.by("instance")[instance.id].values()
        return {root.id} | {it.replaced_volume_id for it in tasks if it.state is ReplaceRootState.SUCCEEDED}

    def _launch_state(self, root: Volume) -> Snapshot:
        """Return the snapshot that the root was made from: whoever has the root has it, whosever it is."""
        if root.snapshot_id is None:
            raise no_launch_state(root.id)
        return self._whole(root.snapshot_id)

    def _whole(self, snapshot_id: str) -> Snapshot:
        snapshot = self._context.store.snapshots.get(snapshot_id)
        if snapshot is None or snapshot.state is not SnapshotState.COMPLETED:
            raise not_found("snapshot", [snapshot_id])
        if snapshot.is_archived:
            raise snapshot_archived(snapshot_id)
        return snapshot

    def _free_volume(self, caller: Caller, instance: Instance, volume_id: str) -> Volume:
        (volume,) = owned(self._context.store.volumes, caller, "volume", [volume_id])
        if volume.attachment is not None:
            raise volume_already_attached(volume.id)
        if volume.state is not VolumeState.AVAILABLE:
            raise volume_not_available(volume.id)
        if volume.availability_zone != instance.availability_zone:
            raise volume_zone_mismatch(volume.id, instance.id)
        return volume

    def _from_image(self, instance: Instance, root: Volume, image: Image, support: GuestSupport | None) -> _Plan:
        if image.architecture != instance.architecture:
            raise image_does_not_fit(image.id, instance.id, f"its architecture is '{image.architecture}'")
        if image.virtualization_type != "hvm" or not image.ena_support:
            raise image_does_not_fit(image.id, instance.id, "it lacks hvm virtualization or ENA support")
        if instance.tpm_support is not None and image.tpm_support is None:
            raise image_does_not_fit(image.id, instance.id, "it has no NitroTPM support")
        here = support.boot_modes if support is not None else frozenset[str]()
        boot_mode = current_boot_mode(image, INSTANCE_TYPES[instance.type], here)
        check_variables(image, boot_mode, here=support is not None and support.has_uefi_data)
        device = next(it for it in image.block_devices if it.device_name == image.root_device_name)
        snapshot = self._whole(str(device.snapshot_id))
        size_gib = max(root.size_gib, device.size_gib or 0, snapshot.volume_size_gib)
        changed = replace(
            instance,
            image_id=image.id,
            boot_mode=image.boot_mode,
            current_boot_mode=boot_mode,
            uefi_data=image.uefi_data,
            disk_bus=image.disk_bus,
        )
        return _Plan(
            volume=self._replacement(root, snapshot, size_gib),
            instance=changed,
            image_id=image.id,
            # Variables and local disks are forgotten together only, and the disks outlive the root.
            forgets_firmware="uefi" in (boot_mode, instance.current_boot_mode) and not any(local_disks(instance)),
        )

    def _replacement(self, root: Volume, snapshot: Snapshot, size_gib: int) -> Volume:
        """Return a volume of the root's type, and of its figures where those can be asked for."""
        rules = VOLUME_TYPES[root.type]
        size_gib = max(size_gib, snapshot.volume_size_gib)
        # As a launch would make it, by an account whose own key is there since it launched the instance.
        caller = Caller(account_id=root.account_id, region=root.region, access_key_id="")
        key = chosen_key(self._context, caller, Encryption(), snapshot)
        figures = performance(
            root.type,
            size_gib,
            root.iops if rules.iops is not None else None,
            root.throughput_mibps if rules.throughput_mibps is not None else None,
        )
        return Volume(
            id=new_id("volume"),
            account_id=root.account_id,
            region=root.region,
            availability_zone=root.availability_zone,
            size_gib=size_gib,
            state=VolumeState.CREATING,
            type=root.type,
            created_at=self._context.now().replace(microsecond=0),
            snapshot_id=snapshot.id,
            iops=figures.iops,
            throughput_mibps=figures.throughput_mibps,
            limits=root.limits,
            encrypted=key is not None,
            kms_key_id=key,
        )


def _params(task: ReplaceRootVolumeTask, instance: Instance, root: Volume, plan: _Plan) -> ReplaceRootVolume:
    goes_with_instance = root.attachment is not None and root.attachment.delete_on_termination
    return ReplaceRootVolume(
        task_id=task.id,
        instance_id=instance.id,
        is_new=plan.is_new,
        # Source: EC2 User Guide, "Replace the root volume": the attribute does not pass to an existing volume.
        delete_on_termination=goes_with_instance and plan.is_new,
        former_delete_on_termination=goes_with_instance,
        image=_image_members(plan.instance),
        former_image=_image_members(instance),
        forgets_firmware=plan.forgets_firmware,
    )


def _image_members(instance: Instance) -> dict[str, str | None]:
    return {member: getattr(instance, member) for member in IMAGE_MEMBERS}
