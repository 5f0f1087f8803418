"""aws_instance, aws_key_pair, aws_eip, aws_launch_template."""

import base64
import uuid
from typing import Any

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

#: Attributes that are modified one a request.
_CHANGED_WHILE_IT_RUNS = {
    "source_dest_check": "SourceDestCheck",
    "disable_api_stop": "DisableApiStop",
    "disable_api_termination": "DisableApiTermination",
    "instance_initiated_shutdown_behavior": "InstanceInitiatedShutdownBehavior",
}


class AwsKeyPair(Resource):
    kind = "key-pair"

    def create(self) -> str:
        key = self.wanted["public_key"].encode()
        name = self.wanted["key_name"]
        self.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=key, **self.tagged())
        return str(name)

    def read(self) -> Values:
        pair = self._find()
        return {
            "fingerprint": pair["KeyFingerprint"],
            "key_name": pair["KeyName"],
            "key_pair_id": pair["KeyPairId"],
            "key_type": pair["KeyType"],
            "public_key": self.wanted["public_key"],
            "tags": tags_of(pair),
        }

    def update_tags(self, before: dict[str, str], after: dict[str, str]) -> None:
        name, self.id = self.id, self.state["key_pair_id"]
        super().update_tags(before, after)
        self.id = name

    def destroy(self) -> None:
        self.ec2.delete_key_pair(KeyName=self.id)
        wait_until_gone(self._find, "InvalidKeyPair.NotFound")

    def _find(self) -> Values:
        return only(self.ec2.describe_key_pairs(KeyNames=[self.id])["KeyPairs"])


class AwsInstance(Resource):
    kind = "instance"

    def create(self) -> str:
        wanted = self.wanted
        request: Values = {
            "ClientToken": str(uuid.uuid4()),
            "EbsOptimized": False,
            "ImageId": wanted["ami"],
            "InstanceType": wanted["instance_type"],
            "MaxCount": 1,
            "MinCount": 1,
            "Monitoring": {"Enabled": wanted.get("monitoring", False)},
            **self.tagged(),
        }
        if "key_name" in wanted:
            request["KeyName"] = wanted["key_name"]
        if "user_data" in wanted:
            request["UserData"] = wanted["user_data"]
        if "root_volume_size" in wanted:
            request["BlockDeviceMappings"] = [self._root_device()]
        interface = {"DeviceIndex": 0, "SubnetId": wanted["subnet_id"], "Groups": wanted["vpc_security_group_ids"]}
        if "private_ip" in wanted:
            interface["PrivateIpAddress"] = wanted["private_ip"]
        request["NetworkInterfaces"] = [interface]
        self.id = self.ec2.run_instances(**request)["Instances"][0]["InstanceId"]
        wait_until(lambda: self._find()["State"]["Name"] == "running")
        if wanted.get("source_dest_check") is False:
            self.ec2.modify_instance_attribute(InstanceId=self.id, SourceDestCheck={"Value": False})
        return self.id

    def read(self) -> Values:
        instance = self._find()
        kind = only(self.ec2.describe_instance_types(InstanceTypes=[instance["InstanceType"]])["InstanceTypes"])
        interface = next(it for it in instance["NetworkInterfaces"] if it["Attachment"]["DeviceIndex"] == 0)
        template = filters(resource_id=self.id, key="aws:ec2launchtemplate:id")
        assert self.ec2.describe_tags(Filters=template)["Tags"] == []
        if kind["BurstablePerformanceSupported"]:
            asked = self.ec2.describe_instance_credit_specifications(InstanceIds=[self.id])
            credit = only(asked["InstanceCreditSpecifications"])["CpuCredits"]
        else:
            credit = None
        return {
            "ami": instance["ImageId"],
            "associate_public_ip_address": "Association" in interface,
            "availability_zone": instance["Placement"]["AvailabilityZone"],
            "cpu_credits": credit,
            "disable_api_stop": self._attribute("disableApiStop", "DisableApiStop"),
            "disable_api_termination": self._attribute("disableApiTermination", "DisableApiTermination"),
            "ebs_optimized": instance["EbsOptimized"],
            "http_tokens": instance["MetadataOptions"]["HttpTokens"],
            "instance_initiated_shutdown_behavior": self._attribute(
                "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior"
            ),
            "instance_type": instance["InstanceType"],
            "key_name": instance.get("KeyName"),
            "monitoring": instance["Monitoring"]["State"] in ("enabled", "pending"),
            "primary_network_interface_id": interface["NetworkInterfaceId"],
            "private_ip": instance["PrivateIpAddress"],
            "root_volume_size": self._root_volume(instance)["Size"],
            "source_dest_check": instance["SourceDestCheck"],
            "subnet_id": interface["SubnetId"],
            "tags": tags_of(instance),
            "user_data": self._user_data(),
            "vpc_security_group_ids": [group["GroupId"] for group in instance["SecurityGroups"]],
        }

    def update(self, changed: Values) -> None:
        if "vpc_security_group_ids" in changed:
            self.ec2.modify_network_interface_attribute(
                NetworkInterfaceId=self.state["primary_network_interface_id"], Groups=changed["vpc_security_group_ids"]
            )
        if "instance_type" in changed:
            self._modify_stopped(InstanceType={"Value": changed["instance_type"]})
        if "user_data" in changed:
            self._modify_stopped(UserData={"Value": changed["user_data"].encode()})
        for name, member in _CHANGED_WHILE_IT_RUNS.items():
            if name in changed:
                self._modify(**{member: {"Value": changed[name]}})
        if "monitoring" in changed:
            how = self.ec2.monitor_instances if changed["monitoring"] else self.ec2.unmonitor_instances
            how(InstanceIds=[self.id])
        if "cpu_credits" in changed:
            credit = {"InstanceId": self.id, "CpuCredits": changed["cpu_credits"]}
            self.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[credit])
        if "http_tokens" in changed:
            self._modify_metadata(changed["http_tokens"])
        if "root_volume_size" in changed:
            self._grow_root(changed["root_volume_size"])

    def destroy(self) -> None:
        self._modify(DisableApiTermination={"Value": False})
        self._modify(DisableApiStop={"Value": False})
        with tolerated("InvalidInstanceID.NotFound"):
            self.ec2.terminate_instances(InstanceIds=[self.id])
        wait_until(lambda: self._find()["State"]["Name"] == "terminated")

    def _find(self) -> Values:
        reservation = only(self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"])
        return only(reservation["Instances"])

    def _root_device(self) -> Values:
        """The root's name is that of the image, which a mapping of its own may not say."""
        image = only(self.ec2.describe_images(ImageIds=[self.wanted["ami"]])["Images"])
        assert any(device["DeviceName"] == image["RootDeviceName"] for device in image["BlockDeviceMappings"])
        ebs = {"DeleteOnTermination": True, "VolumeSize": self.wanted["root_volume_size"]}
        return {"DeviceName": image["RootDeviceName"], "Ebs": ebs}

    def _root_volume(self, instance: Values) -> Values:
        ids = {it["DeviceName"]: it["Ebs"]["VolumeId"] for it in instance["BlockDeviceMappings"]}
        volumes = self.ec2.describe_volumes(VolumeIds=list(ids.values()))["Volumes"]
        return next(it for it in volumes if it["VolumeId"] == ids[instance["RootDeviceName"]])

    def _attribute(self, name: str, member: str) -> Any:
        return self.ec2.describe_instance_attribute(InstanceId=self.id, Attribute=name)[member]["Value"]

    def _user_data(self) -> str | None:
        said = self.ec2.describe_instance_attribute(InstanceId=self.id, Attribute="userData")["UserData"]
        return base64.b64decode(said["Value"]).decode() if "Value" in said else None

    def _modify(self, **members: Any) -> None:
        self.ec2.modify_instance_attribute(InstanceId=self.id, **members)

    def _modify_stopped(self, **members: Any) -> None:
        self.ec2.stop_instances(InstanceIds=[self.id])
        wait_until(lambda: self._find()["State"]["Name"] == "stopped")
        self._modify(**members)
        self.ec2.start_instances(InstanceIds=[self.id])
        wait_until(lambda: self._find()["State"]["Name"] == "running")

    def _modify_metadata(self, tokens: str) -> None:
        self.ec2.modify_instance_metadata_options(
            InstanceId=self.id,
            HttpEndpoint="enabled",
            HttpPutResponseHopLimit=1,
            HttpTokens=tokens,
            InstanceMetadataTags="disabled",
        )
        wait_until(lambda: self._find()["MetadataOptions"]["State"] == "applied")

    def _grow_root(self, size: int) -> None:
        volume_id = self._root_volume(self._find())["VolumeId"]
        self.ec2.modify_volume(VolumeId=volume_id, Size=size)
        wait_until(lambda: grown(self.ec2, volume_id))


def grown(ec2: Any, volume_id: str) -> bool:
    found = ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"]
    return only(found)["ModificationState"] in ("completed", "optimizing")


class AwsEip(Resource):
    kind = "elastic-ip"

    def create(self) -> str:
        self.id = self.ec2.allocate_address(Domain="vpc", **self.tagged())["AllocationId"]
        wait_until(lambda: bool(self._find()))
        self.update({name: value for name, value in self.wanted.items() if name == "instance"})
        return self.id

    def read(self) -> Values:
        address = self._find()
        names = self.ec2.describe_addresses_attribute(AllocationIds=[self.id], Attribute="domain-name")["Addresses"]
        return {
            "ptr_record": names[0].get("PtrRecord") if names else None,
            "association_id": address.get("AssociationId"),
            "domain": address["Domain"],
            "instance": address.get("InstanceId"),
            "network_border_group": address["NetworkBorderGroup"],
            "network_interface": address.get("NetworkInterfaceId"),
            "private_ip": address.get("PrivateIpAddress"),
            "public_ip": address["PublicIp"],
            "public_ipv4_pool": address["PublicIpv4Pool"],
            "tags": tags_of(address),
        }

    def update(self, changed: Values) -> None:
        if "instance" not in changed:
            return
        if self.state.get("association_id"):
            self.ec2.disassociate_address(AssociationId=self.state["association_id"])
        if changed["instance"]:
            made = self.ec2.associate_address(AllocationId=self.id, InstanceId=changed["instance"])
            ours = filters(association_id=made["AssociationId"])
            wait_until(lambda: bool(self.ec2.describe_addresses(Filters=ours)["Addresses"]))

    def destroy(self) -> None:
        if self.state.get("association_id"):
            with tolerated("InvalidAssociationID.NotFound"):
                self.ec2.disassociate_address(AssociationId=self.state["association_id"])
        self.ec2.release_address(AllocationId=self.id, NetworkBorderGroup=self.state["network_border_group"])

    def _find(self) -> Values:
        return only(self.ec2.describe_addresses(AllocationIds=[self.id])["Addresses"])


class AwsLaunchTemplate(Resource):
    kind = "launch-template"

    def create(self) -> str:
        made = self.ec2.create_launch_template(
            ClientToken=str(uuid.uuid4()),
            LaunchTemplateName=self.wanted["name"],
            LaunchTemplateData=self._data(),
            **self.tagged(),
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def read(self) -> Values:
        template = only(self.ec2.describe_launch_templates(LaunchTemplateIds=[self.id])["LaunchTemplates"])
        latest = str(template["LatestVersionNumber"])
        asked = self.ec2.describe_launch_template_versions(LaunchTemplateId=self.id, Versions=[latest])
        data = only(asked["LaunchTemplateVersions"])["LaunchTemplateData"]
        return {
            "default_version": template["DefaultVersionNumber"],
            "image_id": data.get("ImageId"),
            "instance_type": data.get("InstanceType"),
            "latest_version": template["LatestVersionNumber"],
            "name": template["LaunchTemplateName"],
            "tags": tags_of(template),
            "user_data": data.get("UserData"),
            "vpc_security_group_ids": data.get("SecurityGroupIds"),
        }

    def update(self, changed: Values) -> None:
        if changed.keys() <= {"tags"}:
            return
        made = self.ec2.create_launch_template_version(
            ClientToken=str(uuid.uuid4()), LaunchTemplateId=self.id, LaunchTemplateData=self._data()
        )
        newest = str(made["LaunchTemplateVersion"]["VersionNumber"])
        self.ec2.modify_launch_template(LaunchTemplateId=self.id, DefaultVersion=newest)

    def destroy(self) -> None:
        self.ec2.delete_launch_template(LaunchTemplateId=self.id)

    def _data(self) -> Values:
        return {
            "ImageId": self.wanted["image_id"],
            "InstanceType": self.wanted["instance_type"],
            "SecurityGroupIds": self.wanted["vpc_security_group_ids"],
            "UserData": self.wanted["user_data"],
        }
