"""aws_ebs_volume and aws_volume_attachment."""

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.clients.terraform.provider import Resource, Values, filters, given, only, tags_of
from tests.clients.terraform.refusals import tolerated
from tests.clients.terraform.waiters import wait_for, wait_until, wait_until_gone


class AwsEbsVolume(Resource):
    """ebs_volume.go. With `final_snapshot`, a snapshot is left of it, with its tags."""

    kind = "volume"
    gone = ("InvalidVolume.NotFound",)
    defaults: ClassVar[Mapping[str, Any]] = {"multi_attach_enabled": None, "outpost_arn": None}

    def create(self) -> str:
        members = {
            "encrypted": "Encrypted",
            "iops": "Iops",
            "kms_key_id": "KmsKeyId",
            "multi_attach_enabled": "MultiAttachEnabled",
            "size": "Size",
            "snapshot_id": "SnapshotId",
            "throughput": "Throughput",
            "type": "VolumeType",
        }
        made = self.ec2.create_volume(
            AvailabilityZone=self.wanted["availability_zone"],
            ClientToken=str(uuid.uuid4()),
            **given(members, self.wanted),
            **self.tagged(),
        )
        self.id = made["VolumeId"]
        wait_for(self._state_name, "available", "creating")
        return self.id

    def read(self) -> Values:
        volume = only(self._find())
        return {
            "availability_zone": volume["AvailabilityZone"],
            "create_time": volume["CreateTime"].isoformat(),
            "encrypted": volume["Encrypted"],
            "final_snapshot": self.wanted.get("final_snapshot"),
            "iops": volume.get("Iops"),
            "kms_key_id": volume.get("KmsKeyId"),
            "multi_attach_enabled": volume["MultiAttachEnabled"],
            "outpost_arn": volume.get("OutpostArn"),
            "size": volume["Size"],
            "snapshot_id": volume.get("SnapshotId"),
            "tags": tags_of(volume),
            "throughput": volume.get("Throughput"),
            "type": volume["VolumeType"],
        }

    def update(self, changed: Values) -> None:
        """The throughput is always sent for gp3, and the operations for each type that has them."""
        kind = changed.get("type", self.state["type"])
        members = given({"iops": "Iops", "size": "Size", "type": "VolumeType"}, changed)
        throughput = changed.get("throughput", self.state["throughput"])
        if kind == "gp3" and throughput:
            members["Throughput"] = throughput
        if "type" in changed and kind in ("gp3", "io1", "io2"):
            members["Iops"] = changed.get("iops", self.state["iops"])
        self.ec2.modify_volume(VolumeId=self.id, **members)
        wait_until(lambda: self._state_name() in ("available", "in-use"))

    def destroy(self) -> None:
        if self.wanted.get("final_snapshot"):
            made = self.ec2.create_snapshot(VolumeId=self.id, **self.tagged("snapshot"))
            ids = [made["SnapshotId"]]
            wait_for(
                lambda: str(only(self.ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"])["State"]),
                "completed",
                "pending",
            )
        with tolerated("InvalidVolume.NotFound"):
            self.ec2.delete_volume(VolumeId=self.id)
        wait_until_gone(lambda: only(self._find())["State"] != "deleted", *self.gone)

    def _state_name(self) -> str:
        return str(only(self._find())["State"])

    def _find(self) -> list[Values]:
        volumes: list[Values] = self.ec2.describe_volumes(VolumeIds=[self.id])["Volumes"]
        return volumes


class AwsVolumeAttachment(Resource):
    """ebs_volume_attachment.go."""

    kind = ""
    gone = ("InvalidVolume.NotFound",)

    def create(self) -> str:
        if not self._attachments():
            wait_until(lambda: self._instance_state() in ("running", "stopped"))
            self.ec2.attach_volume(
                Device=self.wanted["device_name"],
                InstanceId=self.wanted["instance_id"],
                VolumeId=self.wanted["volume_id"],
            )
        wait_until(self._attachments)
        wait_for(lambda: str(only(self._attachments())["State"]), "attached", "attaching")
        return "vai-1"

    def read(self) -> Values:
        attachment = only(self._attachments())
        return {
            "device_name": attachment["Device"],
            "instance_id": attachment["InstanceId"],
            "stop_instance_before_detaching": self.wanted.get("stop_instance_before_detaching"),
            "volume_id": attachment["VolumeId"],
        }

    def destroy(self) -> None:
        if self.wanted.get("stop_instance_before_detaching"):
            self.ec2.stop_instances(Force=False, InstanceIds=[self.wanted["instance_id"]])
            wait_for(self._instance_state, "stopped", "pending", "running", "shutting-down", "stopping")
        with tolerated("IncorrectState"):
            self.ec2.detach_volume(
                Device=self.wanted["device_name"],
                Force=False,
                InstanceId=self.wanted["instance_id"],
                VolumeId=self.wanted["volume_id"],
            )
        wait_until_gone(self._attachments, *self.gone)

    def _instance_state(self) -> str:
        (reservation,) = self.ec2.describe_instances(InstanceIds=[self.wanted["instance_id"]])["Reservations"]
        return str(only(reservation["Instances"])["State"]["Name"])

    def _attachments(self) -> list[Values]:
        """Return the attachment as findVolumeAttachment finds it: by both filters, and none of a free volume."""
        ours = {"attachment.device": self.wanted["device_name"], "attachment.instance-id": self.wanted["instance_id"]}
        volumes = self.ec2.describe_volumes(Filters=filters(ours), VolumeIds=[self.wanted["volume_id"]])["Volumes"]
        wanted = (self.wanted["device_name"], self.wanted["instance_id"])
        return [
            attachment
            for volume in volumes
            if volume["State"] not in ("available", "deleted")
            for attachment in volume["Attachments"]
            if (attachment["Device"], attachment["InstanceId"]) == wanted and attachment["State"] != "detached"
        ]
