"""Every waiter and paginator that boto3 has for EC2: run where its operation is answered, else listed."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import botocore.waiter
import pytest
from botocore.serialize import EC2Serializer
from tests.protocol.model_values import Values
from tests.server import RunningServer
from tests.system.networking import furnish, furnish_interfaces
from tests.system.not_implemented import PAGINATED, WAITED_FOR
from tests.system.recycling import Account
from tests.system.shop import Shop
from tests.system.transferred import Transferred
from tests.system.wire import Wire

from bakehouse.drivers.hypervisor.fake.driver import FakeHypervisor
from bakehouse.ec2.operations import OPERATIONS

SESSION = botocore.session.Session()
WAITER_MODEL: Any = SESSION.get_waiter_model("ec2")
PAGINATORS: Any = SESSION.get_paginator_model("ec2")._paginator_config  # type: ignore[attr-defined]
SERVICE_MODEL: Any = SESSION.get_service_model("ec2")
WAITERS = {name: WAITER_MODEL.get_waiter(name).operation for name in WAITER_MODEL.waiter_names}

PAGE_SIZE = 5


#: All of them are hundreds of pages.
FEW_TYPES: Any = [{"Name": "instance-type", "Values": ["t3.*"]}]

#: What a launch template must say: something.
SMALL: Any = {"InstanceType": "t3.nano"}


class World:
    """More than a page of what can be made, in every state that a waiter waits for."""

    def __init__(self, shop: Shop) -> None:
        self.ec2 = shop.ec2
        self.image_id = shop.image_id
        _make_profile(shop)
        with_role: Any = {"InstanceType": "t3.micro", "IamInstanceProfile": {"Name": "web"}}
        self.running = [shop.launch_ids(MinCount=1, MaxCount=1, **with_role)[0] for _ in range(6)]
        _replace_roots(shop, self.running)
        _write_password(shop, self.running[0])
        self.stopped, self.terminated, imaged = shop.launch_ids(MinCount=3, MaxCount=3)
        shop.ec2.stop_instances(InstanceIds=[self.stopped], Force=True)
        shop.ec2.terminate_instances(InstanceIds=[self.terminated], SkipOsShutdown=True)
        zone: Any = {"AvailabilityZone": "us-east-1a", "Size": 1}
        for _ in range(6):
            shop.launch_ids(MinCount=1, MaxCount=1, InstanceMarketOptions={"MarketType": "spot"})
        self.spot_requests = [
            it["SpotInstanceRequestId"] for it in shop.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
        ]
        self.volumes = [shop.ec2.create_volume(**zone)["VolumeId"] for _ in range(6)]
        for volume_id in self.volumes:
            shop.ec2.modify_volume(VolumeId=volume_id, Size=2)
        self.deleted_volume = shop.ec2.create_volume(**zone)["VolumeId"]
        shop.ec2.delete_volume(VolumeId=self.deleted_volume)
        self.snapshots = [shop.ec2.create_snapshot(VolumeId=self.volumes[0])["SnapshotId"] for _ in range(6)]
        all_zones: Any = {"AvailabilityZones": ["us-east-1a", "us-east-1b", "us-east-1c"]}
        shop.ec2.enable_fast_snapshot_restores(SourceSnapshotIds=self.snapshots[:2], **all_zones)
        for number in range(6):
            shop.ec2.create_image(InstanceId=imaged, Name=f"image-{number}", NoReboot=True)
            shop.ec2.create_security_group(GroupName=f"group-{number}", Description="d")
            self.report = _report(shop)
            shop.ec2.create_launch_template(LaunchTemplateName=f"template-{number}", LaunchTemplateData=SMALL)
        self.fleets = [_empty_fleet(shop) for _ in range(6)]
        shop.ec2.create_tags(Resources=self.volumes, Tags=[{"Key": "Name", "Value": "data"}])
        shop.ec2.create_key_pair(KeyName="k", KeyType="ed25519")
        _fill_recycle_bin(shop, self.volumes[0])
        self.transfers = Transferred(shop, self.running[0])
        self.used_volume = shop.describe(self.running[0])["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        furnish(shop.ec2, 6)
        self.gateway = shop.ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
        self.subnet = shop.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        furnish_interfaces(shop.ec2, self.subnet, 6)
        self.nat_gateway, deleted = [it["NatGatewayId"] for it in shop.ec2.describe_nat_gateways()["NatGateways"]][:2]
        self.deleted_nat_gateway = deleted
        shop.ec2.delete_nat_gateway(NatGatewayId=deleted)
        free: Any = [{"Name": "status", "Values": ["available"]}]
        self.interface = shop.ec2.describe_network_interfaces(Filters=free)["NetworkInterfaces"][0][
            "NetworkInterfaceId"
        ]
        self.prefix_list = shop.ec2.describe_managed_prefix_lists()["PrefixLists"][0]["PrefixListId"]
        self.vpc = shop.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]


def _make_profile(shop: Shop) -> None:
    iam = shop.running.client("iam", shop.name)
    iam.create_role(RoleName="web", AssumeRolePolicyDocument='{"Statement": []}')
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")


def _write_password(shop: Shop, instance_id: str) -> None:
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    hypervisor.write_console(instance_id, "<Password>b2xk</Password>")


def _replace_roots(shop: Shop, instance_ids: list[str]) -> None:
    for instance_id in instance_ids:
        shop.ec2.create_replace_root_volume_task(InstanceId=instance_id)

    deadline = time.monotonic() + 30
    while any(
        task["TaskState"] != "succeeded"
        for task in shop.ec2.describe_replace_root_volume_tasks()["ReplaceRootVolumeTasks"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _fill_recycle_bin(shop: Shop, volume_id: str) -> None:
    account = Account(shop.running, shop.name)
    account.rule("EBS_SNAPSHOT")
    account.rule("EC2_IMAGE")
    for number in range(6):
        shop.ec2.delete_snapshot(SnapshotId=shop.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"])
        shop.ec2.deregister_image(ImageId=account.image(f"deregistered-{number}")[0])


def _report(shop: Shop) -> str:
    client: Any = shop.ec2
    types = [{"ResourceType": "ec2:Instance"}]
    return str(client.create_image_usage_report(ImageId=shop.image_id, ResourceTypes=types)["ReportId"])


def _empty_fleet(shop: Shop) -> str:
    """Make a fleet that cannot launch anything: its template names no image."""
    config: Any = {"LaunchTemplateSpecification": {"LaunchTemplateName": "template-0", "Version": "1"}}
    made = shop.ec2.create_fleet(
        Type="instant", LaunchTemplateConfigs=[config], TargetCapacitySpecification={"TotalTargetCapacity": 1}
    )
    return made["FleetId"]


#: What a list cannot be asked without, or would leave out.
ASKED_WITH: dict[str, Callable[[World], dict[str, Any]]] = {
    "DescribeStaleSecurityGroups": lambda world: {"VpcId": world.vpc},
    "DescribeFleets": lambda world: {"FleetIds": world.fleets},
    "DescribeInstanceTypeOfferings": lambda _world: {"Filters": FEW_TYPES},
    "DescribeInstanceTypes": lambda _world: {"Filters": FEW_TYPES},
    "DescribeSpotPriceHistory": lambda _world: {"Filters": FEW_TYPES, "StartTime": datetime.now(UTC)},
    "DescribeImageReferences": lambda world: {"ImageIds": [world.image_id], "IncludeAllResourceTypes": True},
    "DescribeInstanceStatus": lambda _world: {"IncludeAllInstances": True},
    "DescribeLaunchTemplateVersions": lambda _world: {"Versions": ["$Latest"]},
    "GetManagedPrefixListAssociations": lambda world: {"PrefixListId": world.prefix_list},
    "GetManagedPrefixListEntries": lambda world: {"PrefixListId": world.prefix_list},
    "GetSecurityGroupsForVpc": lambda world: {"VpcId": world.vpc},
    "GetInstanceTypesFromInstanceRequirements": lambda _world: {
        "ArchitectureTypes": ["x86_64"],
        "VirtualizationTypes": ["hvm"],
        "InstanceRequirements": {
            "VCpuCount": {"Min": 1},
            "MemoryMiB": {"Min": 1},
            "AllowedInstanceTypes": ["t3*", "m5.*"],
        },
    },
}


def result_key(operation: str) -> str:
    """The member that lists what was asked for; the first, where a page has several."""
    key: str | list[str] = PAGINATORS[operation]["result_key"]
    return key if isinstance(key, str) else key[0]


def asked_with(world: World, operation: str) -> dict[str, Any]:
    return ASKED_WITH[operation](world) if operation in ASKED_WITH else {}


#: waiter -> what it waits for in the world.
READY: dict[str, Callable[[World], dict[str, Any]]] = {
    "ExportTaskCancelled": lambda world: {"ExportTaskIds": [world.transfers.cancelled]},
    "ExportTaskCompleted": lambda world: {"ExportTaskIds": [world.transfers.exported]},
    "ImageAvailable": lambda world: {"ImageIds": [world.image_id]},
    "ImageExists": lambda world: {"ImageIds": [world.image_id]},
    "ImageUsageReportAvailable": lambda world: {"ReportIds": [world.report]},
    "InstanceExists": lambda world: {"InstanceIds": world.running},
    "InstanceRunning": lambda world: {"InstanceIds": world.running},
    "InstanceStatusOk": lambda world: {"InstanceIds": world.running},
    "InstanceStopped": lambda world: {"InstanceIds": [world.stopped]},
    "InstanceTerminated": lambda world: {"InstanceIds": [world.terminated]},
    "InternetGatewayExists": lambda world: {"InternetGatewayIds": [world.gateway]},
    "KeyPairExists": lambda _world: {"KeyNames": ["k"]},
    "NatGatewayAvailable": lambda world: {"NatGatewayIds": [world.nat_gateway]},
    "NatGatewayDeleted": lambda world: {"NatGatewayIds": [world.deleted_nat_gateway]},
    "NetworkInterfaceAvailable": lambda world: {"NetworkInterfaceIds": [world.interface]},
    "PasswordDataAvailable": lambda world: {"InstanceId": world.running[0]},
    "SecurityGroupExists": lambda _world: {"GroupNames": ["group-0"]},
    "SnapshotCompleted": lambda world: {"SnapshotIds": world.snapshots},
    "SnapshotImported": lambda world: {"ImportTaskIds": world.transfers.snapshots},
    "SpotInstanceRequestFulfilled": lambda world: {"SpotInstanceRequestIds": world.spot_requests},
    "StoreImageTaskComplete": lambda world: {"ImageIds": [world.image_id]},
    "SubnetAvailable": lambda world: {"SubnetIds": [world.subnet]},
    "SystemStatusOk": lambda world: {"InstanceIds": world.running},
    "VolumeAvailable": lambda world: {"VolumeIds": world.volumes},
    "VolumeDeleted": lambda world: {"VolumeIds": [world.deleted_volume]},
    "VolumeInUse": lambda world: {"VolumeIds": [world.used_volume]},
    "VpcAvailable": lambda world: {"VpcIds": [world.vpc]},
    "VpcExists": lambda world: {"VpcIds": [world.vpc]},
}


@pytest.fixture(scope="module")
def world(shared: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> World:
    disk = tmp_path_factory.mktemp("disk") / "disk.raw"
    _sparse(disk)
    return World(Shop(shared, "the world of waiters", disk))


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


def answered(operations: Iterable[str]) -> list[str]:
    return sorted(set(operations) & OPERATIONS.keys())


@pytest.mark.parametrize("name", sorted(name for name, operation in WAITERS.items() if operation in OPERATIONS))
def test_a_waiter_never_waits(world: World, name: str) -> None:
    waiter = botocore.waiter.create_waiter_with_client(name, WAITER_MODEL, world.ec2)

    waiter.wait(**READY[name](world), WaiterConfig={"MaxAttempts": 1})


@pytest.mark.parametrize("operation", answered(PAGINATORS))
def test_pages_hold_all_that_the_whole_answer_holds(world: World, operation: str) -> None:
    method = botocore.xform_name(operation)
    key = result_key(operation)
    how = asked_with(world, operation)

    pages = list(world.ec2.get_paginator(method).paginate(**how, PaginationConfig={"PageSize": PAGE_SIZE}))  # type: ignore[call-overload]
    whole = getattr(world.ec2, method)(**how)[key]

    items = [item for page in pages for item in page[key]]
    assert items == whole
    assert max(map(len, (page[key] for page in pages))) <= PAGE_SIZE
    assert len(pages) > 1 or len(whole) <= PAGE_SIZE


def test_the_world_has_more_than_a_page_of_what_can_be_made(world: World) -> None:
    small = {
        operation
        for operation in answered(PAGINATORS)
        if len(
            getattr(world.ec2, botocore.xform_name(operation))(**asked_with(world, operation))[result_key(operation)]
        )
        <= PAGE_SIZE
    }

    assert small == {
        "DescribeCapacityReservations",
        "DescribeFastLaunchImages",
        "DescribeHosts",
        "DescribePrefixLists",
        "DescribeStaleSecurityGroups",
        "DescribeVpcEndpointServices",
        "DescribeVpcEndpoints",
    }


def test_the_waiters_and_paginators_without_an_operation_are_these() -> None:
    assert sorted(set(WAITERS.values()) - OPERATIONS.keys()) == sorted(WAITED_FOR)
    assert sorted(PAGINATORS.keys() - OPERATIONS.keys()) == sorted(PAGINATED)


@pytest.mark.parametrize("operation", sorted({*WAITED_FOR, *PAGINATED}))
def test_what_is_not_implemented_says_so(shared: RunningServer, operation: str) -> None:
    model = SERVICE_MODEL.operation_model(operation)
    form = EC2Serializer().serialize_to_request(Values(operation).least(model.input_shape), model)["body"]

    answer = Wire(shared, "stranger").ask(operation, {k: v for k, v in form.items() if k not in ("Action", "Version")})

    assert answer.code == "UnsupportedOperation"
