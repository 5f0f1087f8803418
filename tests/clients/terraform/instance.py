"""aws_instance: ec2_instance.go."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.clients.terraform.block_devices import EBS_MEMBERS
from tests.clients.terraform.instance_reading import METADATA, NAMES, InstanceReading
from tests.clients.terraform.provider import Values, filters, given, only, pairs
from tests.clients.terraform.refusals import tolerated
from tests.clients.terraform.volume_modifications import wait_until_modified
from tests.clients.terraform.waiters import wait_for, wait_until

#: What of a root volume is modified; `Size` is how ModifyVolume calls it.
_ROOT_CHANGES: Final = {"iops": "Iops", "throughput": "Throughput", "volume_size": "Size", "volume_type": "VolumeType"}


class AwsInstance(InstanceReading):
    """Made, changed and destroyed."""

    kind = "instance"
    gone = ("InvalidInstanceID.NotFound",)

    def create(self) -> str:
        wanted = self.wanted
        request: Values = {
            "BlockDeviceMappings": self._disks(),
            "ClientToken": str(uuid.uuid4()),
            "DisableApiTermination": wanted.get("disable_api_termination", False),
            "EbsOptimized": False,
            "HibernationOptions": {"Configured": False},
            "MaxCount": 1,
            "MinCount": 1,
            "Monitoring": {"Enabled": wanted.get("monitoring", False)},
            "Placement": {"AvailabilityZone": wanted.get("availability_zone", "")}
            | given({"placement_group": "GroupName", "tenancy": "Tenancy"}, wanted),
            "TagSpecifications": [*self.tagged().get("TagSpecifications", ()), *self._volume_tags()],
            **given(
                {
                    "ami": "ImageId",
                    "disable_api_stop": "DisableApiStop",
                    "instance_initiated_shutdown_behavior": "InstanceInitiatedShutdownBehavior",
                    "instance_type": "InstanceType",
                    "key_name": "KeyName",
                    "user_data": "UserData",
                },
                wanted,
            ),
            **self._place(),
            **self._options(),
        }
        self.id = self.ec2.run_instances(**{name: value for name, value in request.items() if value != []})[
            "Instances"
        ][0]["InstanceId"]
        wait_for(self.state_name, "running", "pending")
        root = wanted.get("root_block_device", {})
        if root.get("tags"):
            self.update_tags(self.root_mapping()["Ebs"]["VolumeId"], {}, root["tags"])
        if wanted.get("source_dest_check") is False:
            self._modify(SourceDestCheck={"Value": False})
        return self.id

    def update(self, changed: Values) -> None:
        """In the provider's order."""
        changes: dict[str, Callable[[Any], None]] = {
            "volume_tags": self._change_volume_tags,
            "iam_instance_profile": self._change_profile,
            "source_dest_check": self._changing("SourceDestCheck"),
            "secondary_private_ips": self._change_secondary_addresses,
            "vpc_security_group_ids": self._change_groups,
            "instance_type": self._changing_stopped("InstanceType"),
            "user_data": self._changing_stopped("UserData"),
            "disable_api_stop": self._changing("DisableApiStop"),
            "disable_api_termination": self._changing("DisableApiTermination"),
            "instance_initiated_shutdown_behavior": self._changing("InstanceInitiatedShutdownBehavior"),
            "maintenance_options": self._change_maintenance,
            "monitoring": self._change_monitoring,
            "cpu_credits": self._change_credits,
            "metadata_options": self._change_metadata,
            "root_block_device": self._change_root,
            "capacity_reservation_specification": self._change_capacity,
            "private_dns_name_options": self._change_names,
        }
        assert changed.keys() <= changes.keys(), "the provider would make another one"
        for name, change in changes.items():
            if name in changed:
                change(changed[name])

    def destroy(self) -> None:
        """Stop protection is written as it is, which ends no instance less."""
        with tolerated("UnsupportedOperation", containing="not supported for spot instances"):
            self._modify(DisableApiTermination={"Value": False})
        if self.state["disable_api_stop"]:
            with tolerated("UnsupportedOperation", containing="not supported for spot instances"):
                self._modify(DisableApiStop={"Value": True})
        if self.state["instance_market_options"]:
            request_id = self.find()["SpotInstanceRequestId"]
            self.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
        with tolerated("InvalidInstanceID.NotFound"):
            self.ec2.terminate_instances(InstanceIds=[self.id])
        pending = ("pending", "running", "shutting-down", "stopping", "stopped")
        wait_for(self.state_name, "terminated", *pending)

    def _place(self) -> Values:
        """Return where it is: an interface is spelt out where more than a subnet and groups is said of it."""
        wanted = self.wanted
        groups = {"Groups": wanted["vpc_security_group_ids"]} if "vpc_security_group_ids" in wanted else {}
        if "network_interface" in wanted:
            names = {"network_interface_id": "NetworkInterfaceId"}
            return {
                "NetworkInterfaces": [
                    {"DeleteOnTermination": False, "DeviceIndex": index, "NetworkCardIndex": 0, **given(names, it)}
                    for index, it in enumerate(wanted["network_interface"])
                ]
            }
        detailed = {"associate_public_ip_address", "private_ip", "secondary_private_ips"} & wanted.keys()
        if "subnet_id" in wanted and detailed:
            interface: Values = {"DeviceIndex": 0, "SubnetId": wanted["subnet_id"], **groups}
            interface |= given({"private_ip": "PrivateIpAddress"}, wanted)
            if "associate_public_ip_address" in wanted:
                interface["AssociatePublicIpAddress"] = wanted["associate_public_ip_address"]
            if wanted.get("secondary_private_ips"):
                others = wanted["secondary_private_ips"]
                interface["PrivateIpAddresses"] = [{"PrivateIpAddress": address} for address in others]
            return {"NetworkInterfaces": [interface]}
        return given({"subnet_id": "SubnetId", "vpc_security_group_ids": "SecurityGroupIds"}, wanted)

    def _options(self) -> Values:
        wanted = self.wanted
        options = {member: expand(wanted[name]) for name, (member, expand) in _OPTIONS.items() if name in wanted}
        if "launch_template" in wanted:
            options["LaunchTemplate"] = self._specified_launch_template()
        if "iam_instance_profile" in wanted:
            options["IamInstanceProfile"] = {"Name": wanted["iam_instance_profile"]}
        unlimited = "unlimited" if wanted.get("instance_type", "").startswith("t3") else None
        if wanted.get("cpu_credits", unlimited):
            options["CreditSpecification"] = {"CpuCredits": wanted.get("cpu_credits", unlimited)}
        return options

    def _volume_tags(self) -> list[Values]:
        tags = self.wanted.get("volume_tags")
        return [{"ResourceType": "volume", "Tags": pairs(tags)}] if tags else []

    def _disks(self) -> list[Values]:
        """Return disks; the root's name is that of the image, which its block does not say."""
        wanted = self.wanted
        disks = [
            {"DeviceName": it["device_name"], "Ebs": {"DeleteOnTermination": True, **given(EBS_MEMBERS, it)}}
            for it in wanted.get("ebs_block_device", ())
        ]
        root = wanted.get("root_block_device")
        if root is not None:
            image = only(self.ec2.describe_images(ImageIds=[wanted["ami"]])["Images"])
            names = [it["DeviceName"] for it in image["BlockDeviceMappings"]]
            name = image["RootDeviceName"] if image["RootDeviceName"] in names else names[0]
            ends = root.get("delete_on_termination", True)
            disks.append({"DeviceName": name, "Ebs": {"DeleteOnTermination": ends, **given(EBS_MEMBERS, root)}})
        return disks

    def _specified_launch_template(self) -> Values:
        """Return which template it is made from, after a look at what that says."""
        template = self.wanted["launch_template"]
        named = given({"id": "LaunchTemplateId", "name": "LaunchTemplateName"}, template)
        version = template.get("version", "$Default")
        only(self.ec2.describe_launch_template_versions(**named, Versions=[version])["LaunchTemplateVersions"])
        return {**named, "Version": version}

    def _modify(self, **members: Any) -> None:
        self.ec2.modify_instance_attribute(InstanceId=self.id, **members)

    def _changing(self, member: str) -> Callable[[Any], None]:
        """Return what changes an attribute of an instance that may run."""
        return lambda value: self._modify(**{member: {"Value": value}})

    def _changing_stopped(self, member: str) -> Callable[[Any], None]:
        """Return what changes an attribute of an instance that is stopped for it."""

        def change(value: Any) -> None:
            self._stop()
            self._modify(**{member: {"Value": value.encode() if member == "UserData" else value}})
            self._start()

        return change

    def _stop(self) -> None:
        self.ec2.stop_instances(InstanceIds=[self.id], Force=False)
        wait_for(self.state_name, "stopped", "pending", "running", "shutting-down", "stopping")

    def _start(self) -> None:
        self.ec2.start_instances(InstanceIds=[self.id])
        wait_for(self.state_name, "running", "pending", "stopped")

    def _change_capacity(self, specification: Values) -> None:
        self._stop()
        wanted = _reserved(specification)
        self.ec2.modify_instance_capacity_reservation_attributes(
            InstanceId=self.id, CapacityReservationSpecification=wanted
        )
        wait_until(lambda: self.find()["CapacityReservationSpecification"] == wanted)
        self._start()

    def _change_volume_tags(self, tags: Values) -> None:
        before = self.state["volume_tags"]
        for volume_id in self.volume_ids():
            self.update_tags(volume_id, before, tags)

    def _change_maintenance(self, options: Values) -> None:
        recovery = options["auto_recovery"]
        self.ec2.modify_instance_maintenance_options(InstanceId=self.id, AutoRecovery=recovery)
        wait_for(lambda: str(self.find()["MaintenanceOptions"]["AutoRecovery"]), recovery)

    def _change_monitoring(self, detailed: bool) -> None:  # noqa: FBT001 - an attribute's value
        how = self.ec2.monitor_instances if detailed else self.ec2.unmonitor_instances
        how(InstanceIds=[self.id])

    def _change_credits(self, option: str) -> None:
        credit = {"InstanceId": self.id, "CpuCredits": option}
        self.ec2.modify_instance_credit_specification(
            ClientToken=str(uuid.uuid4()), InstanceCreditSpecifications=[credit]
        )

    def _change_profile(self, name: str) -> None:
        asked = self.ec2.describe_iam_instance_profile_associations(Filters=filters({"instance-id": self.id}))
        associations = asked["IamInstanceProfileAssociations"]
        if not name:
            self.ec2.disassociate_iam_instance_profile(AssociationId=associations[0]["AssociationId"])
        elif associations:
            self.ec2.replace_iam_instance_profile_association(
                AssociationId=associations[0]["AssociationId"], IamInstanceProfile={"Name": name}
            )
        else:
            self.ec2.associate_iam_instance_profile(InstanceId=self.id, IamInstanceProfile={"Name": name})
        wait_until(lambda: self.find().get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2] == name)

    def _change_secondary_addresses(self, wanted: list[str]) -> None:
        interface = {"NetworkInterfaceId": self.state["primary_network_interface_id"]}
        before, after = set(self.state["secondary_private_ips"]), set(wanted)
        if before - after:
            self.ec2.unassign_private_ip_addresses(**interface, PrivateIpAddresses=sorted(before - after))
        if after - before:
            self.ec2.assign_private_ip_addresses(**interface, PrivateIpAddresses=sorted(after - before))

    def _change_groups(self, group_ids: list[str]) -> None:
        """Change those of the first interface: an instance with several has no groups of its own."""
        interface_id = self.state["primary_network_interface_id"]
        self.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface_id, Groups=group_ids)

    def _change_metadata(self, _wanted: Values) -> None:
        """Every member is sent, but none beside an endpoint that is switched off."""
        options = self.configured()["metadata_options"]
        members = METADATA if options["http_endpoint"] == "enabled" else {"http_endpoint": "HttpEndpoint"}
        self.ec2.modify_instance_metadata_options(
            InstanceId=self.id, **{member: options[name] for name, member in members.items()}
        )
        wait_for(lambda: str(self.find()["MetadataOptions"]["State"]), "applied", "pending")

    def _change_root(self, wanted: Values) -> None:
        found = self.state["root_block_device"]
        members = {_ROOT_CHANGES[it]: wanted[it] for it in _ROOT_CHANGES if it in wanted and wanted[it] != found[it]}
        if members:
            self.ec2.modify_volume(VolumeId=found["volume_id"], **members)
            wait_until_modified(self.ec2, found["volume_id"])
        ends = wanted.get("delete_on_termination", True)
        if ends is not found["delete_on_termination"]:
            mapping = {"DeviceName": found["device_name"], "Ebs": {"DeleteOnTermination": ends}}
            self._modify(BlockDeviceMappings=[mapping])
            wait_until(lambda: self.root_mapping()["Ebs"]["DeleteOnTermination"] is ends)
        if "tags" in wanted:
            self.update_tags(found["volume_id"], found["tags"], wanted["tags"])

    def _change_names(self, wanted: Values) -> None:
        found = self.state["private_dns_name_options"]
        renamed = {**NAMES, "hostname_type": "PrivateDnsHostnameType"}
        changed = {renamed[name]: value for name, value in wanted.items() if found[name] != value}
        self.ec2.modify_private_dns_name_options(InstanceId=self.id, **changed)


def _reserved(specification: Values) -> Values:
    return given({"capacity_reservation_preference": "CapacityReservationPreference"}, specification)


def _processors(options: Values) -> Values:
    return given({"core_count": "CoreCount", "threads_per_core": "ThreadsPerCore"}, options)


def _market(options: Values) -> Values:
    spot = {"instance_interruption_behavior": "InstanceInterruptionBehavior", "max_price": "MaxPrice"}
    asked = given(spot | {"spot_instance_type": "SpotInstanceType"}, options)
    return {"MarketType": "spot"} | ({"SpotOptions": asked} if asked else {})


def _maintenance(options: Values) -> Values:
    return {"AutoRecovery": options["auto_recovery"]}


def _metadata(options: Values) -> Values:
    return given(METADATA, {"http_endpoint": "enabled", **options})


def _names(options: Values) -> Values:
    """Both flags are always sent."""
    flags = {name: False for name in NAMES if name.startswith("enable")}
    return {NAMES[name]: value for name, value in {**flags, **options}.items()}


#: Block of the schema -> the member of RunInstances that it becomes, and how.
_OPTIONS: Final[Mapping[str, tuple[str, Callable[[Values], Values]]]] = {
    "capacity_reservation_specification": ("CapacityReservationSpecification", _reserved),
    "cpu_options": ("CpuOptions", _processors),
    "instance_market_options": ("InstanceMarketOptions", _market),
    "maintenance_options": ("MaintenanceOptions", _maintenance),
    "metadata_options": ("MetadataOptions", _metadata),
    "private_dns_name_options": ("PrivateDnsNameOptions", _names),
}
