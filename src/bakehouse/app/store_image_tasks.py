"""Images stored in buckets and restored from them."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from bakehouse.app.account_settings import settings_of
from bakehouse.app.context import AppContext, scope
from bakehouse.app.image_catalogue import check_new_image
from bakehouse.app.images import Images
from bakehouse.domain import shown_afterwards
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter
from bakehouse.domain.export_task import bucket_unusable
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import Image, ImageState, image_not_authorized, image_unavailable
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier, snapshot_archived
from bakehouse.domain.store_image_task import (
    STORE_MAX_GIB,
    StoreImageTask,
    StoreTaskState,
    check_object_tags,
    object_unusable,
    restored_unencrypted,
    store_under_way,
)
from bakehouse.domain.tags import check_tags
from bakehouse.ports.objects import (
    AccessDenied,
    InvalidObjectName,
    NoSuchBucket,
    NoSuchObject,
    ObjectAt,
    TransferFailed,
)
from bakehouse.sagas.restore_image import RESTORE_IMAGE, RestoreImage
from bakehouse.sagas.store_image import STORE_IMAGE, StoreImage

#: Source: EC2 API Reference, DescribeStoreImageTasks, ImageIds.
_IMAGE_IDS_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """What CreateRestoreImageTask asks for."""

    bucket: str
    key: str
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    snapshot_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStore:
    """A task and how far it is."""

    task: StoreImageTask
    percent: int


class StoreImageTasks:
    """Use cases on stored images."""

    def __init__(self, context: AppContext, images: Images) -> None:
        """Work on these records."""
        self._context = context
        self._images = images

    async def store(
        self, caller: Caller, image_id: str, location: str, *, object_tags: Mapping[str, str]
    ) -> StoreImageTask:
        """Begin to store an image in a bucket, and return the task at once.

        `location` is a bucket, with a path behind it if the object's key is to begin with one. Refuses an image that
        is neither the caller's nor shared with it by name, snapshots and all (AuthFailure), or that is not available
        (InvalidAMIID.Unavailable), a bucket that cannot be written to (InvalidParameter), and an image that is being
        stored there (InvalidRequest).
        """
        check_object_tags(object_tags)
        bucket, _, path = location.partition("/")
        self._images.named(caller, image_id)
        await self._check_bucket(bucket)
        # From here on nothing is awaited until the task is written down: two cannot both find that there is none.
        image = self._images.named(caller, image_id)
        self._check_storable(caller, image)
        if any(
            task.image_id == image.id and task.bucket == bucket and task.state is StoreTaskState.IN_PROGRESS
            for task in scope(self._context.store.store_image_tasks, caller)
        ):
            raise store_under_way(image.id, bucket)
        task = StoreImageTask(
            id=f"store-{secrets.token_hex(8)}",
            account_id=caller.account_id,
            region=caller.region,
            image_id=image.id,
            bucket=bucket,
            path=path.strip("/"),
            started_at=self._context.now(),
            object_tags=dict(object_tags),
        )
        context = self._context
        async with context.store.transaction() as tx:
            tx.put(task)
            saga_id = context.sagas.enlist(tx, STORE_IMAGE, StoreImage(task_id=task.id), subject_id=task.id)
        context.sagas.begin(saga_id)
        return task

    async def restore(self, caller: Caller, request: RestoreRequest) -> str:
        """Begin to restore an image from an object, and return its id; it is `pending`.

        Refuses a name in use (InvalidAMIName.Duplicate), and an object that is not there (InvalidParameterValue). What
        the object really holds is told by the image's state. Refuses all where the account encrypts by default.
        """
        if settings_of(self._context, caller.account_id, caller.region).ebs_encrypted_by_default:
            raise restored_unencrypted()
        check_tags(request.tags)
        check_tags(request.snapshot_tags)
        if request.name is not None:
            check_new_image(self._context, caller, request.name, "", {})
        await self._check_object(request)
        context = self._context
        image = self._pending(caller, request)
        check_new_image(context, caller, image.name, "", {})
        params = RestoreImage(
            image_id=image.id,
            bucket=request.bucket,
            key=request.key,
            name=request.name,
            snapshot_tags=request.snapshot_tags,
        )
        async with context.store.transaction() as tx:
            tx.put(image)
            saga_id = context.sagas.enlist(tx, RESTORE_IMAGE, params, subject_id=image.id)
        context.sagas.begin(saga_id)
        return image.id

    def describe(self, caller: Caller, image_ids: Collection[str] | None = None) -> list[ShownStore]:
        """Return the caller's store tasks, the newest first: all, or those of these images.

        Refuses an image that is missing (InvalidAMIID.NotFound), unless there are tasks of it, and more than 20.
        """
        tasks = scope(self._context.store.store_image_tasks, caller)[::-1]
        if image_ids is not None:
            if len(image_ids) > _IMAGE_IDS_MAX:
                raise invalid_parameter(f"Up to {_IMAGE_IDS_MAX} image ids can be specified, not {len(image_ids)}.")
            stored = {task.image_id for task in tasks}
            self._images.describe(caller, [image_id for image_id in image_ids if image_id not in stored])
            tasks = [task for task in tasks if task.image_id in image_ids]
        return [self._shown(task) for task in tasks]

    async def forget_old(self) -> None:
        """Forget tasks that ended a month ago."""
        oldest = self._context.now() - shown_afterwards.STORE_IMAGE_TASK
        async with self._context.store.transaction() as tx:
            for task in list(self._context.store.store_image_tasks):
                if task.ended_at is not None and task.ended_at < oldest:
                    tx.delete(task)

    def _shown(self, task: StoreImageTask) -> ShownStore:
        if task.state is StoreTaskState.COMPLETED:
            return ShownStore(task=task, percent=100)
        return ShownStore(task=task, percent=int(self._context.transfers.of(task.id).fraction * 100))

    def _check_storable(self, caller: Caller, image: Image) -> None:
        """Source: EC2 User Guide, "Store and restore an AMI using S3", limitations."""
        if caller.account_id not in (image.account_id, *image.launch_accounts):
            raise image_not_authorized(image.id)
        if image.state is not ImageState.AVAILABLE:
            raise image_unavailable(image.id)
        snapshots = [self._context.store.snapshots.get(snapshot_id) for snapshot_id in image.snapshot_ids]
        for snapshot in snapshots:
            if snapshot is None or snapshot.state is not SnapshotState.COMPLETED:
                raise image_unavailable(image.id)
            if snapshot.tier is StorageTier.ARCHIVE:
                raise snapshot_archived(snapshot.id)
            if not _is_shared(snapshot, caller):
                raise image_not_authorized(image.id)
            if snapshot.encrypted:
                raise invalid_combination(f"The image {image.id} is encrypted; its file in a bucket would not be")
        size_gib = sum(snapshot.volume_size_gib for snapshot in snapshots if snapshot is not None)
        if size_gib > STORE_MAX_GIB:
            raise invalid_combination(f"The image {image.id} has {size_gib} GiB; {STORE_MAX_GIB} are the most")

    async def _check_bucket(self, bucket: str) -> None:
        try:
            await self._context.objects.check_bucket(bucket)
        except (NoSuchBucket, InvalidObjectName) as err:
            raise bucket_unusable(bucket, "it does not exist") from err
        except AccessDenied as err:
            raise bucket_unusable(bucket, "access to it is denied") from err
        except TransferFailed as err:
            raise Ec2Error("Unavailable", f"The bucket '{bucket}' cannot be asked: {err}", 503) from err

    async def _check_object(self, request: RestoreRequest) -> None:
        try:
            await self._context.objects.size(ObjectAt(bucket=request.bucket, key=request.key))
        except (NoSuchBucket, NoSuchObject) as err:
            raise object_unusable(request.bucket, request.key, "it does not exist") from err
        except InvalidObjectName as err:
            raise object_unusable(request.bucket, request.key, str(err)) from err
        except AccessDenied as err:
            raise object_unusable(request.bucket, request.key, "access to it is denied") from err
        except TransferFailed as err:
            raise Ec2Error("Unavailable", f"The bucket '{request.bucket}' cannot be asked: {err}", 503) from err

    def _pending(self, caller: Caller, request: RestoreRequest) -> Image:
        """Return an image of which only its name is known, or not even that: then it is called by its id for now."""
        image_id = new_id("image")
        return Image(
            id=image_id,
            account_id=caller.account_id,
            region=caller.region,
            name=request.name or image_id,
            description="",
            state=ImageState.PENDING,
            architecture="x86_64",
            root_device_name="/dev/sda1",
            block_devices=(),
            created_at=self._context.now().replace(microsecond=0),
            tags=dict(request.tags),
        )


def _is_shared(snapshot: Snapshot, caller: Caller) -> bool:
    return caller.account_id in (snapshot.account_id, *snapshot.create_volume_accounts)
