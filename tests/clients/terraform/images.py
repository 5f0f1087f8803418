"""aws_ami, aws_ami_copy, aws_ami_from_instance, and the data source aws_ami."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from tests.clients.terraform.block_devices import EBS_MEMBERS
from tests.clients.terraform.provider import Ec2, Resource, Values, completed, given, only, tags_of
from tests.clients.terraform.refusals import any_refusal_tolerated, tolerated
from tests.clients.terraform.waiters import wait_for, wait_until, wait_until_gone


def in_days(days: int) -> str:
    """Return a time to deprecate an image at, to the minute, as it is read again."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:00.000Z")


_EBS_MEMBERS: Final = {"delete_on_termination": "DeleteOnTermination", **EBS_MEMBERS}


class _Image(Resource):
    """What all three share but how the image is made: ec2_ami.go."""

    kind = "image"
    gone = ("InvalidAMIID.NotFound",)
    defaults: ClassVar[Mapping[str, Any]] = {"deprecation_time": None, "description": None}

    def read(self) -> Values:
        image = self._find()
        # The instance's data is asked for by the image's id, and only an answer counts.
        with any_refusal_tolerated():
            self.ec2.get_instance_uefi_data(InstanceId=self.id)
        return {
            "architecture": image["Architecture"],
            "boot_mode": image.get("BootMode"),
            "deprecation_time": image.get("DeprecationTime"),
            "description": image.get("Description"),
            "ebs_block_device": [_block(it) for it in image["BlockDeviceMappings"] if "Ebs" in it],
            "ena_support": image["EnaSupport"],
            "image_location": image["ImageLocation"],
            "imds_support": image.get("ImdsSupport"),
            "kernel_id": image.get("KernelId"),
            "name": image["Name"],
            "ramdisk_id": image.get("RamdiskId"),
            "root_device_name": image["RootDeviceName"],
            "root_snapshot_id": root_snapshot_id(image),
            "sriov_net_support": image.get("SriovNetSupport"),
            "tags": tags_of(image),
            "tpm_support": image.get("TpmSupport"),
            "virtualization_type": image["VirtualizationType"],
            **{name: self.wanted[name] for name in ("source_ami_id", "source_instance_id") if name in self.wanted},
        }

    def update(self, changed: Values) -> None:
        if "description" in changed:
            self.ec2.modify_image_attribute(ImageId=self.id, Description={"Value": changed["description"]})
            wait_until(lambda: self._find().get("Description", "") == changed["description"])
        if changed.get("deprecation_time"):
            self._deprecate(changed["deprecation_time"])
        elif "deprecation_time" in changed:
            self.ec2.disable_image_deprecation(ImageId=self.id)
            wait_until(lambda: "DeprecationTime" not in self._find())

    def destroy(self) -> None:
        with tolerated("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"):
            self.ec2.deregister_image(ImageId=self.id)
        if not isinstance(self, AwsAmi):
            for block in self.state["ebs_block_device"]:
                if block["snapshot_id"]:
                    self.ec2.delete_snapshot(SnapshotId=block["snapshot_id"])
        wait_until_gone(self._find_any, *self.gone)

    def _created(self, image_id: str, *, tagged: bool) -> str:
        self.id = image_id
        if not tagged:
            self.create_tags()
        wait_for(lambda: str(self._find()["State"]), "available", "pending")
        if self.wanted.get("deprecation_time"):
            self._deprecate(self.wanted["deprecation_time"])
        return self.id

    def _deprecate(self, at: str) -> None:
        self.ec2.enable_image_deprecation(ImageId=self.id, DeprecateAt=at)
        wait_until(lambda: self._find().get("DeprecationTime") == at)

    def _find_any(self) -> list[Values]:
        images: list[Values] = self.ec2.describe_images(ImageIds=[self.id])["Images"]
        return images

    def _find(self) -> Values:
        return only(self._find_any())


def _block(mapping: Values) -> Values:
    ebs = mapping["Ebs"]
    return {"device_name": mapping["DeviceName"]} | {name: ebs.get(member) for name, member in _EBS_MEMBERS.items()}


def root_snapshot_id(image: Values) -> str:
    found = [it for it in image["BlockDeviceMappings"] if it["DeviceName"] == image["RootDeviceName"] and "Ebs" in it]
    return str(found[0]["Ebs"].get("SnapshotId", "")) if found else ""


class AwsAmi(_Image):
    """ec2_ami.go: of snapshots, or of new volumes beside them. `ebs_block_device`: blocks of the schema."""

    defaults: ClassVar[Mapping[str, Any]] = {
        **_Image.defaults,
        "architecture": "x86_64",
        "boot_mode": None,
        "ena_support": None,
        "imds_support": None,
        "kernel_id": None,
        "ramdisk_id": None,
        "root_device_name": None,
        "sriov_net_support": "simple",
        "tpm_support": None,
        "virtualization_type": "paravirtual",
    }

    def create(self) -> str:
        wanted = self.configured()
        made = self.ec2.register_image(
            Architecture=wanted["architecture"],
            BlockDeviceMappings=[_mapping(block) for block in wanted["ebs_block_device"]],
            Description=wanted["description"] or "",
            EnaSupport=bool(wanted["ena_support"]),
            ImageLocation=wanted.get("image_location", ""),
            Name=wanted["name"],
            RootDeviceName=wanted["root_device_name"] or "",
            SriovNetSupport=wanted["sriov_net_support"],
            VirtualizationType=wanted["virtualization_type"],
            **given({"boot_mode": "BootMode", "imds_support": "ImdsSupport", "tpm_support": "TpmSupport"}, wanted),
        )
        return self._created(made["ImageId"], tagged=False)

    def configured(self) -> Values:
        """A block is known by its device and snapshot; its size and throughput are computed where they are left out."""
        blocks = {_key(block): block for block in self.state.get("ebs_block_device", ())}
        rest = {"delete_on_termination": True, "encrypted": None, "iops": None, "volume_type": "standard"}
        devices = [completed(it, blocks.get(_key(it)), **rest) for it in self.wanted["ebs_block_device"]]
        return {**super().configured(), "ebs_block_device": sorted(devices, key=_key)}

    def read(self) -> Values:
        state = super().read()
        return {**state, "ebs_block_device": sorted(map(_without_zeros, state["ebs_block_device"]), key=_key)}


def _key(block: Mapping[str, Any]) -> tuple[str, str]:
    return block["device_name"], block.get("snapshot_id") or ""


def _without_zeros(block: Values) -> Values:
    return {name: value or None if name != "delete_on_termination" else value for name, value in block.items()}


def _mapping(block: Values) -> Values:
    """The flag to encrypt is not sent beside a snapshot, which has it."""
    ebs = given({name: member for name, member in _EBS_MEMBERS.items() if name != "encrypted"}, block)
    ebs["DeleteOnTermination"] = block["delete_on_termination"]
    if "SnapshotId" not in ebs:
        ebs["Encrypted"] = bool(block["encrypted"])
    return {"DeviceName": block["device_name"], "Ebs": ebs}


class AwsAmiCopy(_Image):
    """ec2_ami_copy.go."""

    def create(self) -> str:
        made = self.ec2.copy_image(
            ClientToken=str(uuid.uuid4()),
            Description=self.wanted.get("description", ""),
            Encrypted=False,
            Name=self.wanted["name"],
            SourceImageId=self.wanted["source_ami_id"],
            SourceRegion="us-east-1",
        )
        return self._created(made["ImageId"], tagged=False)


class AwsAmiFromInstance(_Image):
    """ec2_ami_from_instance.go."""

    def create(self) -> str:
        made = self.ec2.create_image(
            Description=self.wanted.get("description", ""),
            InstanceId=self.wanted["source_instance_id"],
            Name=self.wanted["name"],
            NoReboot=self.wanted.get("snapshot_without_reboot", False),
            **self.tagged(),
        )
        return self._created(made["ImageId"], tagged=True)


def aws_ami(
    ec2: Ec2,
    *,
    owners: list[str],
    most_recent: bool = False,
    name_regex: str = "",
    include_deprecated: bool = False,
    wanted: Mapping[str, list[str]] | None = None,
) -> Values:
    """The data source: ec2_ami_data_source.go. `wanted`: the filters, by name.

    The newest is that with the greatest creation date; of several without `most_recent`, it refuses to choose.
    """
    filters = [{"Name": name, "Values": values} for name, values in (wanted or {}).items()]
    pages = ec2.get_paginator("describe_images").paginate(
        IncludeDeprecated=include_deprecated, Owners=owners, **({"Filters": filters} if filters else {})
    )
    found = [image for page in pages for image in page["Images"] if re.search(name_regex, image["Name"])]
    assert found
    assert most_recent or len(found) == 1
    image: Values = max(found, key=lambda it: str(it["CreationDate"]))
    with any_refusal_tolerated():
        ec2.get_instance_uefi_data(InstanceId=image["ImageId"])
    return {
        "arn": f"arn:aws:ec2:us-east-1::image/{image['ImageId']}",
        "creation_date": image["CreationDate"],
        "hypervisor": image["Hypervisor"],
        "id": image["ImageId"],
        "image_location": image["ImageLocation"],
        "image_owner_alias": image.get("ImageOwnerAlias"),
        "image_type": image["ImageType"],
        "name": image["Name"],
        "owner_id": image["OwnerId"],
        "platform_details": image["PlatformDetails"],
        "public": image["Public"],
        "root_device_type": image["RootDeviceType"],
        "root_snapshot_id": root_snapshot_id(image),
        "state": image["State"],
        "state_reason": image.get("StateReason", {"Code": "UNSET", "Message": "UNSET"}),
        "tags": tags_of(image),
        "usage_operation": image["UsageOperation"],
    }
