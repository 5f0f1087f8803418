"""aws_ebs_volume, aws_volume_attachment, aws_ami, aws_ami_copy, aws_ami_from_instance."""

import uuid

from tests.clients.terraform.machines import grown
from tests.clients.terraform.provider import (
    Resource,
    Values,
    filters,
    only,
    tags_of,
    tolerated,
    wait_until,
    wait_until_gone,
)


class AwsEbsVolume(Resource):
    kind = "volume"

    def create(self) -> str:
        made = self.ec2.create_volume(
            AvailabilityZone=self.wanted["availability_zone"],
            ClientToken=str(uuid.uuid4()),
            Size=self.wanted["size"],
            VolumeType=self.wanted["type"],
            **self.tagged(),
        )
        self.id = made["VolumeId"]
        wait_until(lambda: self._find()["State"] == "available")
        return self.id

    def read(self) -> Values:
        volume = self._find()
        return {
            "availability_zone": volume["AvailabilityZone"],
            "encrypted": volume["Encrypted"],
            "iops": volume.get("Iops"),
            "multi_attach_enabled": volume["MultiAttachEnabled"],
            "size": volume["Size"],
            "snapshot_id": volume.get("SnapshotId"),
            "tags": tags_of(volume),
            "throughput": volume.get("Throughput"),
            "type": volume["VolumeType"],
        }

    def update(self, changed: Values) -> None:
        members = {"size": "Size", "type": "VolumeType", "iops": "Iops", "throughput": "Throughput"}
        given = {members[name]: value for name, value in changed.items() if name in members}
        if given:
            self.ec2.modify_volume(VolumeId=self.id, **given)
            wait_until(lambda: grown(self.ec2, self.id))

    def destroy(self) -> None:
        self.ec2.delete_volume(VolumeId=self.id)
        wait_until_gone(self._find, "InvalidVolume.NotFound")

    def _find(self) -> Values:
        return only(self.ec2.describe_volumes(VolumeIds=[self.id])["Volumes"])


class AwsVolumeAttachment(Resource):
    kind = ""

    def create(self) -> str:
        assert self._found() == []
        self.ec2.attach_volume(
            Device=self.wanted["device_name"],
            InstanceId=self.wanted["instance_id"],
            VolumeId=self.wanted["volume_id"],
        )
        wait_until(lambda: self._attachment()["State"] == "attached")
        return f"vai-{self.wanted['volume_id']}"

    def read(self) -> Values:
        attachment = self._attachment()
        return {
            "device_name": attachment["Device"],
            "instance_id": attachment["InstanceId"],
            "volume_id": attachment["VolumeId"],
        }

    def destroy(self) -> None:
        self.ec2.detach_volume(
            Device=self.wanted["device_name"],
            Force=False,
            InstanceId=self.wanted["instance_id"],
            VolumeId=self.wanted["volume_id"],
        )
        wait_until_gone(self._found, "InvalidVolume.NotFound")

    def _found(self) -> list[Values]:
        ours = {
            "attachment.device": self.wanted["device_name"],
            "attachment.instance-id": self.wanted["instance_id"],
        }
        volumes: list[Values] = self.ec2.describe_volumes(
            Filters=filters(**ours), VolumeIds=[self.wanted["volume_id"]]
        )["Volumes"]
        return volumes

    def _attachment(self) -> Values:
        attachments = only(self._found())["Attachments"]
        return only([it for it in attachments if it["InstanceId"] == self.wanted["instance_id"]])


class _Image(Resource):
    kind = "image"

    def read(self) -> Values:
        image = self._find()
        root = next(it for it in image["BlockDeviceMappings"] if it["DeviceName"] == image["RootDeviceName"])
        return {
            "architecture": image["Architecture"],
            "deprecation_time": image.get("DeprecationTime"),
            "description": image.get("Description", ""),
            "ena_support": image["EnaSupport"],
            "name": image["Name"],
            "root_device_name": image["RootDeviceName"],
            "root_snapshot_id": root["Ebs"]["SnapshotId"],
            "tags": tags_of(image),
            "virtualization_type": image["VirtualizationType"],
            **{name: self.wanted[name] for name in ("source_ami_id", "source_instance_id") if name in self.wanted},
        }

    def update(self, changed: Values) -> None:
        if changed.get("description"):
            value = {"Value": changed["description"]}
            self.ec2.modify_image_attribute(ImageId=self.id, Attribute="description", Description=value)
            wait_until(lambda: self._find()["Description"] == changed["description"])
        if changed.get("deprecation_time"):
            self.ec2.enable_image_deprecation(ImageId=self.id, DeprecateAt=changed["deprecation_time"])
            wait_until(lambda: self._find()["DeprecationTime"] == changed["deprecation_time"])

    def destroy(self) -> None:
        snapshots = [self.state["root_snapshot_id"]]
        with tolerated("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"):
            self.ec2.deregister_image(ImageId=self.id)
        wait_until_gone(self._find_any, "InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")
        if "source_ami_id" in self.wanted or "source_instance_id" in self.wanted:
            for snapshot_id in snapshots:
                self.ec2.delete_snapshot(SnapshotId=snapshot_id)

    def _find_any(self) -> list[Values]:
        images: list[Values] = self.ec2.describe_images(ImageIds=[self.id])["Images"]
        return images

    def _find(self) -> Values:
        return only(self._find_any())

    def _created(self, image_id: str) -> str:
        self.id = image_id
        wait_until(lambda: self._find()["State"] == "available")
        self.update({name: value for name, value in self.wanted.items() if name == "deprecation_time"})
        return self.id


class AwsAmi(_Image):
    """Of a snapshot; the description is set when the image is there."""

    def create(self) -> str:
        ebs = {"DeleteOnTermination": True, "SnapshotId": self.wanted["root_snapshot_id"], "VolumeType": "gp3"}
        made = self.ec2.register_image(
            Architecture=self.wanted["architecture"],
            BlockDeviceMappings=[{"DeviceName": self.wanted["root_device_name"], "Ebs": ebs}],
            EnaSupport=self.wanted["ena_support"],
            Name=self.wanted["name"],
            RootDeviceName=self.wanted["root_device_name"],
            VirtualizationType=self.wanted["virtualization_type"],
            **self.tagged(),
        )
        image_id = self._created(made["ImageId"])
        self.update({"description": self.wanted["description"]})
        return image_id


class AwsAmiCopy(_Image):
    def create(self) -> str:
        made = self.ec2.copy_image(
            ClientToken=str(uuid.uuid4()),
            Description=self.wanted["description"],
            Encrypted=False,
            Name=self.wanted["name"],
            SourceImageId=self.wanted["source_ami_id"],
            SourceRegion="us-east-1",
            **self.tagged(),
        )
        return self._created(made["ImageId"])


class AwsAmiFromInstance(_Image):
    def create(self) -> str:
        made = self.ec2.create_image(
            Description=self.wanted["description"],
            InstanceId=self.wanted["source_instance_id"],
            Name=self.wanted["name"],
            NoReboot=self.wanted.get("snapshot_without_reboot", False),
            **self.tagged(),
        )
        return self._created(made["ImageId"])
