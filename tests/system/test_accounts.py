"""Accounts: three of them on one server, and what each sees of the others."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import contents, refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


class Property:
    """Ids of one thing of each kind that an account has."""

    def __init__(self, shop: Shop) -> None:
        instance = shop.launch()
        self.instance = instance["InstanceId"]
        self.interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
        self.group = instance["SecurityGroups"][0]["GroupId"]
        self.subnet = instance["SubnetId"]
        self.vpc = instance["VpcId"]
        self.root_volume = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        self.image = shop.image_id
        self.volume = shop.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        self.snapshot = shop.ec2.create_snapshot(VolumeId=self.volume)["SnapshotId"]
        self.key_pair = shop.ec2.create_key_pair(KeyName="k", KeyType="ed25519")["KeyPairId"]


Attempt = Callable[["EC2Client", Property], Any]

PERMISSION: Any = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]

TRESPASSES: dict[str, tuple[Attempt, str]] = {
    "describe instance": (lambda c, p: c.describe_instances(InstanceIds=[p.instance]), "InvalidInstanceID.NotFound"),
    "describe status": (
        lambda c, p: c.describe_instance_status(InstanceIds=[p.instance]),
        "InvalidInstanceID.NotFound",
    ),
    "start": (lambda c, p: c.start_instances(InstanceIds=[p.instance]), "InvalidInstanceID.NotFound"),
    "stop": (lambda c, p: c.stop_instances(InstanceIds=[p.instance]), "InvalidInstanceID.NotFound"),
    "reboot": (lambda c, p: c.reboot_instances(InstanceIds=[p.instance]), "InvalidInstanceID.NotFound"),
    "terminate": (lambda c, p: c.terminate_instances(InstanceIds=[p.instance]), "InvalidInstanceID.NotFound"),
    "console": (lambda c, p: c.get_console_output(InstanceId=p.instance), "InvalidInstanceID.NotFound"),
    "attribute": (
        lambda c, p: c.describe_instance_attribute(InstanceId=p.instance, Attribute="userData"),
        "InvalidInstanceID.NotFound",
    ),
    "modify": (
        lambda c, p: c.modify_instance_attribute(InstanceId=p.instance, DisableApiTermination={"Value": True}),
        "InvalidInstanceID.NotFound",
    ),
    "create image": (lambda c, p: c.create_image(InstanceId=p.instance, Name="stolen"), "InvalidInstanceID.NotFound"),
    "snapshot all": (
        lambda c, p: c.create_snapshots(InstanceSpecification={"InstanceId": p.instance}),
        "InvalidInstanceID.NotFound",
    ),
    "launch": (lambda c, p: c.run_instances(ImageId=p.image, MinCount=1, MaxCount=1), "InvalidAMIID.NotFound"),
    "describe image": (lambda c, p: c.describe_images(ImageIds=[p.image]), "InvalidAMIID.NotFound"),
    "image attribute": (
        lambda c, p: c.describe_image_attribute(ImageId=p.image, Attribute="launchPermission"),
        "InvalidAMIID.NotFound",
    ),
    "share image": (
        lambda c, p: c.modify_image_attribute(ImageId=p.image, LaunchPermission={"Add": [{"Group": "all"}]}),
        "InvalidAMIID.NotFound",
    ),
    "deregister": (lambda c, p: c.deregister_image(ImageId=p.image), "InvalidAMIID.NotFound"),
    "describe volume": (lambda c, p: c.describe_volumes(VolumeIds=[p.volume]), "InvalidVolume.NotFound"),
    "delete volume": (lambda c, p: c.delete_volume(VolumeId=p.volume), "InvalidVolume.NotFound"),
    "attach volume": (
        lambda c, p: c.attach_volume(VolumeId=p.volume, InstanceId=p.instance, Device="/dev/sdf"),
        "InvalidVolume.NotFound",
    ),
    "detach volume": (lambda c, p: c.detach_volume(VolumeId=p.root_volume), "InvalidVolume.NotFound"),
    "snapshot": (lambda c, p: c.create_snapshot(VolumeId=p.volume), "InvalidVolume.NotFound"),
    "describe snapshot": (lambda c, p: c.describe_snapshots(SnapshotIds=[p.snapshot]), "InvalidSnapshot.NotFound"),
    "delete snapshot": (lambda c, p: c.delete_snapshot(SnapshotId=p.snapshot), "InvalidSnapshot.NotFound"),
    "volume of snapshot": (
        lambda c, p: c.create_volume(SnapshotId=p.snapshot, AvailabilityZone="us-east-1a"),
        "InvalidSnapshot.NotFound",
    ),
    "register": (
        lambda c, p: c.register_image(
            Name="stolen",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": p.snapshot}}],
        ),
        "InvalidSnapshot.NotFound",
    ),
    "describe group": (lambda c, p: c.describe_security_groups(GroupIds=[p.group]), "InvalidGroup.NotFound"),
    "open group": (
        lambda c, p: c.authorize_security_group_ingress(GroupId=p.group, IpPermissions=PERMISSION),
        "InvalidGroup.NotFound",
    ),
    "delete group": (lambda c, p: c.delete_security_group(GroupId=p.group), "InvalidGroup.NotFound"),
    "describe subnet": (lambda c, p: c.describe_subnets(SubnetIds=[p.subnet]), "InvalidSubnetID.NotFound"),
    "describe vpc": (lambda c, p: c.describe_vpcs(VpcIds=[p.vpc]), "InvalidVpcID.NotFound"),
    "describe key": (lambda c, p: c.describe_key_pairs(KeyPairIds=[p.key_pair]), "InvalidKeyPair.NotFound"),
    "tag interface": (
        lambda c, p: c.create_tags(Resources=[p.interface], Tags=[{"Key": "a", "Value": "b"}]),
        "InvalidNetworkInterfaceID.NotFound",
    ),
    "tag image": (
        lambda c, p: c.create_tags(Resources=[p.image], Tags=[{"Key": "a", "Value": "b"}]),
        "InvalidAMIID.NotFound",
    ),
}


@pytest.fixture(scope="module")
def neighbour(shared: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Property:
    disk = tmp_path_factory.mktemp("disk") / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(2**30)
    return Property(Shop(shared, "neighbour", disk))


@pytest.mark.parametrize("trespass", TRESPASSES)
def test_what_belongs_to_another_account_is_not_found(
    shared: RunningServer, neighbour: Property, trespass: str
) -> None:
    attempt, code = TRESPASSES[trespass]
    stranger = shared.ec2("stranger")
    # An account's default network and its own key are made when they are first needed, whatever becomes of the request.
    stranger.describe_vpcs()
    stranger.get_ebs_default_kms_key_id()
    before = contents(shared)

    with refused(code):
        attempt(stranger, neighbour)

    assert contents(shared) == before


def test_another_account_s_things_are_in_no_list(shared: RunningServer, neighbour: Property) -> None:
    stranger = shared.ec2("an empty account")

    assert neighbour.instance
    assert stranger.describe_instances()["Reservations"] == []
    assert stranger.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"] == []
    assert stranger.describe_images()["Images"] == []
    assert stranger.describe_volumes()["Volumes"] == []
    assert stranger.describe_snapshots()["Snapshots"] == []
    assert stranger.describe_key_pairs()["KeyPairs"] == []
    assert stranger.describe_tags()["Tags"] == []


def test_the_region_is_that_of_the_signature(shared: RunningServer, neighbour: Property) -> None:
    elsewhere = shared.ec2("neighbour", "eu-west-1")

    with refused("InvalidInstanceID.NotFound"):
        elsewhere.describe_instances(InstanceIds=[neighbour.instance])
    with refused("InvalidAMIID.NotFound"):
        elsewhere.run_instances(ImageId=neighbour.image, MinCount=1, MaxCount=1)


def test_caller_identity_names_the_account_of_the_key(shared: RunningServer) -> None:
    identities = [shared.client("sts", name).get_caller_identity() for name in ("neighbour", "stranger", "third")]

    accounts = [shared.access_key(name).account_id for name in ("neighbour", "stranger", "third")]
    assert [identity["Account"] for identity in identities] == accounts
    assert len(set(accounts)) == 3
    assert identities[0]["Arn"] == f"arn:aws:iam::{accounts[0]}:root"


def test_an_account_number_has_twelve_digits_and_a_key_twenty_characters(shared: RunningServer) -> None:
    key = shared.access_key("digits")

    assert len(key.account_id) == 12
    assert key.account_id.isdecimal()
    assert not key.account_id.startswith("0")
    assert len(key.id) == 20
    assert len(key.secret) == 40
