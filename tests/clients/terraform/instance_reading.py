"""How aws_instance is read: resourceInstanceRead and what it calls, in ec2_instance.go."""

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from tests.clients.terraform.provider import Resource, Values, completed, filters, only, tags_of
from tests.clients.terraform.refusals import NotFoundError

METADATA: Final = {
    "http_endpoint": "HttpEndpoint",
    "http_protocol_ipv6": "HttpProtocolIpv6",
    "http_put_response_hop_limit": "HttpPutResponseHopLimit",
    "http_tokens": "HttpTokens",
    "instance_metadata_tags": "InstanceMetadataTags",
}
NAMES: Final = {
    "enable_resource_name_dns_a_record": "EnableResourceNameDnsARecord",
    "enable_resource_name_dns_aaaa_record": "EnableResourceNameDnsAAAARecord",
    "hostname_type": "HostnameType",
}
_BLOCKS: Final = (
    "capacity_reservation_specification",
    "cpu_options",
    "instance_market_options",
    "maintenance_options",
    "metadata_options",
    "private_dns_name_options",
)


class InstanceReading(Resource):
    """A block of the schema is a mapping here, a repeated one a list of them."""

    defaults: ClassVar[Mapping[str, Any]] = {"hibernation": False, "launch_template": None, "source_dest_check": True}

    def read(self) -> Values:
        """In the provider's order: the type, the template, the VPC, attributes one by one, volumes, credits, spot."""
        instance = self.find()
        if instance["State"]["Name"] == "terminated":
            raise NotFoundError
        kind = only(self.ec2.describe_instance_types(InstanceTypes=[instance["InstanceType"]])["InstanceTypes"])
        interface = next(it for it in instance["NetworkInterfaces"] if it["Attachment"]["DeviceIndex"] == 0)
        assert instance["HibernationOptions"]["Configured"] is False
        assert instance["EnclaveOptions"]["Enabled"] is False
        state = {
            "ami": instance["ImageId"],
            "associate_public_ip_address": "Association" in interface,
            "availability_zone": instance["Placement"]["AvailabilityZone"],
            "capacity_reservation_specification": _read(
                {"capacity_reservation_preference": "CapacityReservationPreference"},
                instance["CapacityReservationSpecification"],
            ),
            "cpu_options": _read(
                {"core_count": "CoreCount", "threads_per_core": "ThreadsPerCore"}, instance["CpuOptions"]
            ),
            "ebs_optimized": instance["EbsOptimized"],
            "hibernation": instance["HibernationOptions"]["Configured"],
            "iam_instance_profile": instance.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2],
            "instance_type": instance["InstanceType"],
            "key_name": instance.get("KeyName"),
            "launch_template": self._read_launch_template(),
            "maintenance_options": _read({"auto_recovery": "AutoRecovery"}, instance["MaintenanceOptions"]),
            "metadata_options": _read(METADATA, instance["MetadataOptions"]),
            "monitoring": instance["Monitoring"]["State"] in ("enabled", "pending"),
            "network_interface": self._read_interfaces(instance),
            "placement_group": instance["Placement"].get("GroupName", ""),
            "primary_network_interface_id": interface["NetworkInterfaceId"],
            "private_dns_name_options": _read(NAMES, instance["PrivateDnsNameOptions"]),
            "private_ip": instance["PrivateIpAddress"],
            "public_ip": instance.get("PublicIpAddress"),
            "secondary_private_ips": sorted(
                it["PrivateIpAddress"] for it in interface["PrivateIpAddresses"] if not it["Primary"]
            ),
            "source_dest_check": instance["SourceDestCheck"],
            "subnet_id": interface["SubnetId"],
            "tags": tags_of(instance),
            "tenancy": instance["Placement"]["Tenancy"],
            "volume_tags": self._read_volume_tags() if "volume_tags" in self.wanted else None,
            **self._read_groups(instance),
            "instance_initiated_shutdown_behavior": self._attribute(
                "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior"
            ),
            **self._read_disks(instance),
            "disable_api_stop": self._attribute("disableApiStop", "DisableApiStop"),
            "disable_api_termination": self._attribute("disableApiTermination", "DisableApiTermination"),
            "user_data": self._user_data(),
            "cpu_credits": None,
            "instance_market_options": self._read_market(instance),
        }
        if kind["BurstablePerformanceSupported"]:
            asked = self.ec2.describe_instance_credit_specifications(InstanceIds=[self.id])
            state["cpu_credits"] = only(asked["InstanceCreditSpecifications"])["CpuCredits"]
        return state

    def configured(self) -> Values:
        """What is left out of a block is computed, but that a root volume's end is the instance's."""
        wanted = super().configured()
        for name in _BLOCKS:
            if name in wanted:
                wanted[name] = completed(wanted[name], self.state.get(name))
        if "root_block_device" in wanted:
            found = self.state.get("root_block_device")
            wanted["root_block_device"] = {
                **(found or {}),
                "delete_on_termination": True,
                **wanted["root_block_device"],
            }
        if "ebs_block_device" in wanted:
            found = {it["device_name"]: it for it in self.state.get("ebs_block_device", ())}
            disks = [
                {**found.get(it["device_name"], {}), "delete_on_termination": True, **it}
                for it in wanted["ebs_block_device"]
            ]
            wanted["ebs_block_device"] = disks
        return wanted

    def find(self) -> Values:
        reservation = only(self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"])
        return only(reservation["Instances"])

    def state_name(self) -> str:
        return str(self.find()["State"]["Name"])

    def root_mapping(self) -> Values:
        instance = self.find()
        return only([it for it in instance["BlockDeviceMappings"] if it["DeviceName"] == instance["RootDeviceName"]])

    def _read_disks(self, instance: Values) -> Values:
        mappings = {it["Ebs"]["VolumeId"]: it for it in instance["BlockDeviceMappings"]}
        volumes = self.ec2.describe_volumes(VolumeIds=list(mappings))["Volumes"]
        assert {it["VolumeId"] for it in volumes} == mappings.keys()
        root, others = None, []
        for volume in volumes:
            mapping = mappings[volume["VolumeId"]]
            block = {
                "delete_on_termination": mapping["Ebs"]["DeleteOnTermination"],
                "device_name": mapping["DeviceName"],
                "encrypted": volume["Encrypted"],
                "iops": volume.get("Iops"),
                "kms_key_id": volume.get("KmsKeyId"),
                "tags": tags_of(volume),
                "throughput": volume.get("Throughput"),
                "volume_id": volume["VolumeId"],
                "volume_size": volume["Size"],
                "volume_type": volume["VolumeType"],
            }
            if mapping["DeviceName"] == instance["RootDeviceName"]:
                root = block
            else:
                others.append({**block, "snapshot_id": volume.get("SnapshotId", "")})
        return {"root_block_device": root, "ebs_block_device": others}

    def _read_interfaces(self, instance: Values) -> list[Values]:
        """Return the interfaces at the configured indexes: others may have been attached by another resource."""
        found = {it["Attachment"]["DeviceIndex"]: it for it in instance["NetworkInterfaces"]}
        wanted = range(len(self.wanted.get("network_interface", ())))
        kept = [it for it in wanted if found[it]["Attachment"]["DeleteOnTermination"] is False]
        return [{"network_interface_id": found[it]["NetworkInterfaceId"]} for it in kept]

    def _read_groups(self, instance: Values) -> Values:
        """Return groups by their ids, and by their names too in the default VPC."""
        vpc = only(self.ec2.describe_vpcs(VpcIds=[instance["VpcId"]])["Vpcs"])
        groups = instance["SecurityGroups"]
        names = sorted(it["GroupName"] for it in groups) if vpc["IsDefault"] else []
        return {"vpc_security_group_ids": sorted(it["GroupId"] for it in groups), "security_groups": names}

    def volume_ids(self) -> list[str]:
        attached = filters({"attachment.instance-id": self.id})
        return [it["VolumeId"] for it in self.ec2.describe_volumes(Filters=attached)["Volumes"]]

    def _read_volume_tags(self) -> dict[str, str]:
        ours = [{"Name": "resource-id", "Values": self.volume_ids()}]
        return tags_of(self.ec2.describe_tags(Filters=ours))

    def _tag(self, name: str) -> str:
        tags = self.ec2.describe_tags(Filters=filters({"resource-id": self.id, "key": name}))["Tags"]
        return str(only(tags)["Value"]) if tags else ""

    def _read_launch_template(self) -> Values | None:
        """Return the template as the configuration names it: its version as `$Default` where it is that now."""
        template_id = self._tag("aws:ec2launchtemplate:id")
        if not template_id:
            return None
        found = only(self.ec2.describe_launch_templates(LaunchTemplateIds=[template_id])["LaunchTemplates"])
        version = self._tag("aws:ec2launchtemplate:version")
        only(
            self.ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=[version])[
                "LaunchTemplateVersions"
            ]
        )
        wanted = self.wanted.get("launch_template", {})
        named = {"$Default": str(found["DefaultVersionNumber"]), "$Latest": str(found["LatestVersionNumber"])}
        written = wanted.get("version", "$Default")
        read = {"id": template_id, "name": found["LaunchTemplateName"]}
        read["version"] = written if named.get(written) == version else version
        return {name: value for name, value in read.items() if name in wanted}

    def _read_market(self, instance: Values) -> Values | None:
        if "SpotInstanceRequestId" not in instance or "InstanceLifecycle" not in instance:
            return None
        ids = [instance["SpotInstanceRequestId"]]
        request = only(self.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=ids)["SpotInstanceRequests"])
        assert instance["InstanceLifecycle"] == "spot"
        return {
            "instance_interruption_behavior": request["InstanceInterruptionBehavior"],
            "market_type": "spot",
            "max_price": request["SpotPrice"],
            "spot_instance_type": request["Type"],
        }

    def _attribute(self, name: str, member: str) -> Any:
        return self.ec2.describe_instance_attribute(InstanceId=self.id, Attribute=name)[member]["Value"]

    def _user_data(self) -> str | None:
        said = self.ec2.describe_instance_attribute(InstanceId=self.id, Attribute="userData")["UserData"]
        return base64.b64decode(said["Value"]).decode() if "Value" in said else None


def _read(members: Mapping[str, str], block: Mapping[str, Any]) -> Values:
    return {name: block.get(member) for name, member in members.items()}
