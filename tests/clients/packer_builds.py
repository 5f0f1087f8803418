"""What Packer's amazon-ebs builder of today asks, step by step: the builder that is run for real is of version 1.6.6.

Source: hashicorp/packer-plugin-amazon, builder/ebs/builder.go and the steps that each function here names, in common/
but for three of them. Values that a template does not give are sent empty.
"""

from string import ascii_lowercase
from typing import Any, Final

from tests.clients.terraform.provider import Values, pairs
from tests.clients.terraform.waiters import wait_for

Ec2 = Any

RUN_TAGS: Final = {"Name": "packing, <ä & 'b'>"}


class Build:
    """One run of the builder, with what each step leaves for those after it."""

    def __init__(self, ec2: Ec2, *, ami_name: str, image_filters: dict[str, str], spot: bool = False) -> None:
        self.ec2 = ec2
        self.ami_name = ami_name
        self.profile = ""
        self._image_filters = image_filters
        self._spot = spot
        self._subnet_id = ""
        self._zone = ""
        self.image_id = ""
        self.instance_id = ""

    def run(self, *, associate_public_ip: bool | None = None) -> Values:
        """Bake an image, clean up, and return the image."""
        self._prevalidate()
        source = self._source_image()
        vpc_id = self._network(associate_public_ip)
        key_name, group_id = self._key_pair(), self._security_group(vpc_id)
        try:
            self._launch(source, key_name, group_id, associate_public_ip)
            self._associate_address()
            self._stop()
            image = self._create_image()
        finally:
            self._clean_up(key_name, group_id)
        return image

    def _prevalidate(self) -> None:
        """step_pre_validate.go, with ValidateRegion of access_config.go."""
        regions = self.ec2.describe_regions()["Regions"]
        assert self.ec2.meta.region_name in [region["RegionName"] for region in regions]
        assert self._named(self.ami_name) == []

    def _source_image(self) -> Values:
        """step_source_ami_info.go and ami_filter.go: the newest by its creation date."""
        wanted = [{"Name": name, "Values": [value]} for name, value in self._image_filters.items()]
        found = self.ec2.describe_images(Filters=wanted, Owners=["self"], IncludeDeprecated=False)["Images"]
        image: Values = max(found, key=lambda it: str(it["CreationDate"]))
        assert (image["RootDeviceType"], image["VirtualizationType"]) == ("ebs", "hvm")
        return image

    def _network(self, associate_public_ip: bool | None) -> str:  # noqa: FBT001 - as a template has it
        """step_network_info.go: a zone that offers the type, where a public address is asked for without a subnet."""
        if associate_public_ip is None:
            return ""
        default = [{"Name": "is-default", "Values": ["true"]}]
        (vpc,) = self.ec2.describe_vpcs(Filters=default)["Vpcs"]
        inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}, {"Name": "state", "Values": ["available"]}]
        subnets = self.ec2.describe_subnets(Filters=inside)["Subnets"]
        offered = [it for it in subnets if self._is_offered(it["AvailabilityZone"])]
        subnet = max(offered, key=lambda it: int(it["AvailableIpAddressCount"]))
        self._subnet_id, self._zone = subnet["SubnetId"], subnet["AvailabilityZone"]
        return str(vpc["VpcId"])

    def _is_offered(self, zone: str) -> bool:
        wanted = [{"Name": "location", "Values": [zone]}, {"Name": "instance-type", "Values": ["t3.micro"]}]
        asked = self.ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=wanted)
        return [it["InstanceType"] for it in asked["InstanceTypeOfferings"]] == ["t3.micro"]

    def _key_pair(self) -> str:
        """step_key_pair.go."""
        specification = {"ResourceType": "key-pair", "Tags": pairs(RUN_TAGS)}
        made = self.ec2.create_key_pair(KeyName="packer_1", KeyType="ed25519", TagSpecifications=[specification])
        assert "PRIVATE KEY" in made["KeyMaterial"]
        return str(made["KeyName"])

    def _security_group(self, vpc_id: str) -> str:
        """step_security_group.go."""
        group_id: str = self.ec2.create_security_group(
            GroupName="packer_1",
            Description="Temporary group for Packer",
            VpcId=vpc_id,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": pairs(RUN_TAGS)}],
        )["GroupId"]
        self.ec2.get_waiter("security_group_exists").wait(GroupIds=[group_id], WaiterConfig={"Delay": 1})
        port = {"FromPort": 22, "ToPort": 22, "IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        self.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[port])
        return group_id

    def _launch(
        self,
        source: Values,
        key_name: str,
        group_id: str,
        associate_public_ip: bool | None,  # noqa: FBT001
    ) -> None:
        request = {
            "CreditSpecification": {"CpuCredits": "standard"},
            "EbsOptimized": False,
            "IamInstanceProfile": {"Name": self.profile},
            "ImageId": source["ImageId"],
            "KeyName": key_name,
            "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "Placement": {"AvailabilityZone": self._zone},
            "UserData": "",
        }
        if self._spot:
            self.instance_id = self._launch_on_the_spot_market(request, group_id)
        else:
            self.instance_id = self._launch_on_demand(request, group_id, associate_public_ip)
        self.ec2.get_waiter("instance_running").wait(InstanceIds=[self.instance_id], WaiterConfig={"Delay": 1})
        given = self._instance(self.instance_id).get("IamInstanceProfile", {}).get("Arn", "")
        assert given.rpartition("/")[2] == self.profile

    def _launch_on_demand(self, request: Values, group_id: str, associate_public_ip: bool | None) -> str:  # noqa: FBT001
        """step_run_source_instance.go, with no_ephemeral. By run_config.go no reservation is wanted unless told."""
        if self._subnet_id and associate_public_ip is not None:
            interface = {
                "AssociatePublicIpAddress": associate_public_ip,
                "DeleteOnTermination": True,
                "DeviceIndex": 0,
                "Groups": [group_id],
                "SubnetId": self._subnet_id,
            }
            place: Values = {"NetworkInterfaces": [interface]}
        else:
            place = {"SubnetId": self._subnet_id, "SecurityGroupIds": [group_id]}
        tagged = ("instance", "network-interface", "volume")
        made = self.ec2.run_instances(
            **request,
            **place,
            BlockDeviceMappings=[{"DeviceName": f"xvdc{letter}", "NoDevice": ""} for letter in ascii_lowercase],
            CapacityReservationSpecification={"CapacityReservationPreference": "none"},
            EnclaveOptions={"Enabled": False},
            InstanceInitiatedShutdownBehavior="stop",
            InstanceType="t3.micro",
            MaxCount=1,
            MinCount=1,
            TagSpecifications=[{"ResourceType": kind, "Tags": pairs(RUN_TAGS)} for kind in tagged],
        )
        return str(made["Instances"][0]["InstanceId"])

    def _launch_on_the_spot_market(self, request: Values, group_id: str) -> str:
        """step_run_spot_instance.go: a fleet of one, of a template for it."""
        tagged = ("instance", "network-interface", "volume")
        data = {
            **request,
            "DisableApiTermination": False,
            "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {}},
            "SecurityGroupIds": [group_id],
            "TagSpecifications": [{"ResourceType": kind, "Tags": pairs(RUN_TAGS)} for kind in tagged],
        }
        name = "packer-fleet-launch-template-1"
        self.ec2.create_launch_template(
            LaunchTemplateData=data,
            LaunchTemplateName=name,
            VersionDescription="template generated by packer for launching spot instances",
        )
        template = {"LaunchTemplateName": name, "Version": "1"}
        types = [{"InstanceType": kind} for kind in ("t3.micro", "t3.small")]
        made = self.ec2.create_fleet(
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template, "Overrides": types}],
            ReplaceUnhealthyInstances=False,
            TagSpecifications=[{"ResourceType": "fleet", "Tags": pairs(RUN_TAGS)}],
            TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
            Type="instant",
        )
        assert made["Errors"] == []
        (instance_id,) = made["Instances"][0]["InstanceIds"]
        found = self._instance(instance_id)
        self.ec2.create_tags(Resources=[found["SpotInstanceRequestId"]], Tags=pairs(RUN_TAGS))
        self.ec2.create_tags(Resources=[instance_id], Tags=pairs(RUN_TAGS))
        self.ec2.delete_launch_template(LaunchTemplateName=name)
        return str(instance_id)

    def _associate_address(self) -> None:
        """step_associate_eip.go: an address of the template's, taken away again and kept."""
        allocation_id = self.ec2.allocate_address()["AllocationId"]
        made = self.ec2.associate_address(AllocationId=allocation_id, InstanceId=self.instance_id)
        address = self.ec2.describe_addresses(AllocationIds=[allocation_id])["Addresses"][0]["PublicIp"]
        assert self._instance(self.instance_id)["PublicIpAddress"] == address
        self.ec2.disassociate_address(AssociationId=made["AssociationId"])
        self.ec2.release_address(AllocationId=allocation_id)

    def _stop(self) -> None:
        """step_stop_ebs_instance.go, which leaves a spot instance alone, and step_modify_ebs_instance.go."""
        if not self._spot:
            self.ec2.stop_instances(InstanceIds=[self.instance_id])
            self.ec2.get_waiter("instance_stopped").wait(InstanceIds=[self.instance_id], WaiterConfig={"Delay": 1})
            for attribute in ({"SriovNetSupport": {"Value": "simple"}}, {"EnaSupport": {"Value": True}}):
                self.ec2.modify_instance_attribute(InstanceId=self.instance_id, **attribute)

    def _create_image(self) -> Values:
        """builder/ebs/step_create_ami.go: the run's tags on the image and its snapshots."""
        tagged = ("image", "snapshot")
        self.image_id = self.ec2.create_image(
            InstanceId=self.instance_id,
            Name=self.ami_name,
            TagSpecifications=[{"ResourceType": kind, "Tags": pairs(RUN_TAGS)} for kind in tagged],
        )["ImageId"]
        self.ec2.get_waiter("image_available").wait(ImageIds=[self.image_id], WaiterConfig={"Delay": 1})
        (image,) = self.ec2.describe_images(ImageIds=[self.image_id])["Images"]
        return dict(image)

    def _clean_up(self, key_name: str, group_id: str) -> None:
        """End what runs, wait for it, delete volumes by step_cleanup_volumes.go, and the rest last to first."""
        if self.instance_id:
            self.ec2.terminate_instances(InstanceIds=[self.instance_id])
            wait_for(lambda: str(self._instance(self.instance_id)["State"]["Name"]), "terminated")
        self.ec2.delete_security_group(GroupId=group_id)
        self.ec2.delete_key_pair(KeyName=key_name)

    def copy(self, region: Ec2) -> str:
        """step_ami_region_copy.go: to another region, with the image's tags."""
        made = region.copy_image(
            CopyImageTags=True,
            KmsKeyId="",
            Name=self.ami_name,
            SourceImageId=self.image_id,
            SourceRegion=self.ec2.meta.region_name,
        )
        region.get_waiter("image_available").wait(ImageIds=[made["ImageId"]], WaiterConfig={"Delay": 1})
        return str(made["ImageId"])

    def change_attributes(self, account_id: str, snapshot_id: str) -> None:
        """step_modify_ami_attributes.go: whom to add is said twice in each request."""
        for attribute in (
            {"Description": {"Value": "baked, <&>"}},
            {"UserGroups": ["all"], "LaunchPermission": {"Add": [{"Group": "all"}]}},
            {"UserIds": [account_id], "LaunchPermission": {"Add": [{"UserId": account_id}]}},
            {"ImdsSupport": {"Value": "v2.0"}},
        ):
            self.ec2.modify_image_attribute(ImageId=self.image_id, **attribute)
        for permission in (
            {"GroupNames": ["all"], "CreateVolumePermission": {"Add": [{"Group": "all"}]}},
            {"UserIds": [account_id], "CreateVolumePermission": {"Add": [{"UserId": account_id}]}},
        ):
            self.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, **permission)

    def protect(self, deprecate_at: str) -> None:
        """step_enable_deprecation.go and step_enable_deregistration_protection.go."""
        self.ec2.enable_image_deprecation(ImageId=self.image_id, DeprecateAt=deprecate_at)
        self.ec2.enable_image_deregistration_protection(ImageId=self.image_id, WithCooldown=False)

    def _instance(self, instance_id: str) -> Values:
        (reservation,) = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        (instance,) = reservation["Instances"]
        return dict(instance)

    def _named(self, name: str) -> list[Values]:
        wanted = [{"Name": "name", "Values": [name]}]
        found: list[Values] = self.ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]
        return found
