"""Instance types as boto3 sees them."""

from typing import TYPE_CHECKING, Any

from tests.system.refusals import refused

from bakehouse.domain.instance_type import INSTANCE_TYPES

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def test_every_type_of_the_catalogue_is_listed(alice: "EC2Client") -> None:
    pages = alice.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 5})

    assert [kind["InstanceType"] for page in pages for kind in page["InstanceTypes"]] == sorted(INSTANCE_TYPES)


def test_a_type_is_described_with_what_ray_and_terraform_read(alice: "EC2Client") -> None:
    (kind,) = alice.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"]

    assert kind["VCpuInfo"] == {
        "DefaultVCpus": 2,
        "DefaultCores": 1,
        "DefaultThreadsPerCore": 2,
        "ValidCores": [1],
        "ValidThreadsPerCore": [1, 2],
    }
    assert kind["MemoryInfo"] == {"SizeInMiB": 1024}
    assert kind["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]
    assert kind["BurstablePerformanceSupported"]
    assert kind["SupportedRootDeviceTypes"] == ["ebs"]
    assert kind["NetworkInfo"]["MaximumNetworkInterfaces"] == 2


def test_a_type_shows_what_its_ebs_link_carries(alice: "EC2Client") -> None:
    (kind,) = alice.describe_instance_types(InstanceTypes=["m5.large"])["InstanceTypes"]

    assert kind["EbsInfo"]["EbsOptimizedInfo"] == {
        "BaselineBandwidthInMbps": 650,
        "BaselineThroughputInMBps": 81.25,
        "BaselineIops": 3600,
        "MaximumBandwidthInMbps": 4750,
        "MaximumThroughputInMBps": 593.75,
        "MaximumIops": 18750,
    }


def test_a_type_asked_for_twice_is_listed_once(alice: "EC2Client") -> None:
    kinds = alice.describe_instance_types(InstanceTypes=["t3.micro", "t3.micro"])["InstanceTypes"]

    assert len(kinds) == 1


def test_a_type_that_is_not_offered_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidInstanceType"):
        alice.describe_instance_types(InstanceTypes=["p5.48xlarge"])


def test_a_type_that_ec2_does_not_know_is_refused(alice: "EC2Client") -> None:
    unknown: Any = "t9.tiny"
    with refused("InvalidParameterValue"):
        alice.describe_instance_types(InstanceTypes=[unknown])


def test_types_are_chosen_by_filters(alice: "EC2Client") -> None:
    def found(name: str, value: str) -> set[str]:
        kinds = alice.describe_instance_types(Filters=[{"Name": name, "Values": [value]}])["InstanceTypes"]
        return {str(kind["InstanceType"]) for kind in kinds}

    assert found("instance-type", "t2.*") == {name for name in INSTANCE_TYPES if name.startswith("t2.")}
    assert "t3.nano" in found("memory-info.size-in-mib", "512")
    assert found("hypervisor", "xen") & found("hypervisor", "nitro") == set()
    assert found("bare-metal", "true") == set()
    assert "m5.large" in found("ebs-info.ebs-optimized-info.baseline-throughput-in-mbps", "81.25")
    assert "m5.large" in found("processor-info.sustained-clock-speed-in-ghz", "3.1")
    assert found("network-info.maximum-network-interfaces", "15") == {
        name for name, kind in INSTANCE_TYPES.items() if kind.max_interfaces == 15
    }
    with refused("InvalidParameterValue"):
        found("colour", "red")


def test_types_are_offered_in_the_region_and_in_its_zones(alice: "EC2Client") -> None:
    wanted: Any = [{"Name": "instance-type", "Values": ["t3.micro"]}]

    def places(**how: Any) -> list[str]:
        offerings = alice.describe_instance_type_offerings(Filters=wanted, **how)["InstanceTypeOfferings"]
        return [offering["Location"] for offering in offerings]

    assert places() == ["us-east-1"]
    assert places(LocationType="availability-zone") == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert places(LocationType="availability-zone-id") == ["use1-az1", "use1-az2", "use1-az3"]
    assert places(LocationType="outpost") == []
