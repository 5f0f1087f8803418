"""More than a page of imports, exports and stores that have ended."""

from typing import Any

from tests.system.shop import Shop
from tests.system.transfers import (
    Bucket,
    ended_export,
    ended_import,
    ended_instance_export,
    ended_snapshot_import,
    ended_store,
    transfers_wait,
)

_MORE_THAN_A_PAGE = 6


class Transferred:
    """What an account imported, exported and stored."""

    def __init__(self, shop: Shop, instance_id: str) -> None:
        self._shop = shop
        self._bucket = Bucket(shop.running, "transferred")
        self._bucket.put("disk.raw")
        self.images = [self._image() for _ in range(_MORE_THAN_A_PAGE)]
        self.snapshots = [self._snapshot() for _ in range(_MORE_THAN_A_PAGE)]
        self.exports = [self._export() for _ in range(_MORE_THAN_A_PAGE)]
        for number in range(_MORE_THAN_A_PAGE):
            bucket = Bucket(shop.running, f"stored {number}")
            shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)
            ended_store(shop.ec2, shop.image_id)
        self.exported = self._export_of(instance_id)
        ended_instance_export(shop.ec2, self.exported)
        with transfers_wait(shop.running):
            self.cancelled = self._export_of(instance_id)
            shop.ec2.cancel_export_task(ExportTaskId=self.cancelled)
        ended_instance_export(shop.ec2, self.cancelled)

    def _image(self) -> str:
        where: Any = [{"UserBucket": {"S3Bucket": self._bucket.name, "S3Key": "disk.raw"}}]
        task_id = self._shop.ec2.import_image(DiskContainers=where)["ImportTaskId"]
        ended_import(self._shop.ec2, task_id)
        return task_id

    def _snapshot(self) -> str:
        url = f"s3://{self._bucket.name}/disk.raw"
        task_id = self._shop.ec2.import_snapshot(DiskContainer={"Url": url})["ImportTaskId"]
        ended_snapshot_import(self._shop.ec2, task_id)
        return task_id

    def _export(self) -> str:
        task_id = self._shop.ec2.export_image(
            ImageId=self._shop.image_id, DiskImageFormat="RAW", S3ExportLocation={"S3Bucket": self._bucket.name}
        )["ExportImageTaskId"]
        ended_export(self._shop.ec2, task_id)
        return task_id

    def _export_of(self, instance_id: str) -> str:
        task = self._shop.ec2.create_instance_export_task(
            InstanceId=instance_id, TargetEnvironment="vmware", ExportToS3Task={"S3Bucket": self._bucket.name}
        )
        return task["ExportTask"]["ExportTaskId"]
