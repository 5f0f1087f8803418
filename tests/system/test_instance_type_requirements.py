"""Instance types chosen by what they must have, as boto3 asks for them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused

from bakehouse.domain.instance_type import INSTANCE_TYPES, InstanceType

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def found(ec2: "EC2Client", architecture: str = "x86_64", **requirements: Any) -> set[str]:
    asked = {"VCpuCount": {"Min": 0}, "MemoryMiB": {"Min": 0}} | requirements
    pages = ec2.get_paginator("get_instance_types_from_instance_requirements").paginate(
        ArchitectureTypes=[architecture],  # type: ignore[list-item] # any architecture
        VirtualizationTypes=["hvm"],
        InstanceRequirements=asked,  # type: ignore[arg-type] # what each test asks for
    )
    return {kind["InstanceType"] for page in pages for kind in page["InstanceTypes"]}


def kinds(ec2: "EC2Client", **requirements: Any) -> list[InstanceType]:
    return [INSTANCE_TYPES[name] for name in found(ec2, **requirements)]


def test_sizes_lie_in_their_ranges(alice: "EC2Client") -> None:
    found_kinds = kinds(alice, VCpuCount={"Min": 2, "Max": 4}, MemoryMiB={"Min": 4096, "Max": 8192})

    assert {(2, 4096), (4, 8192)} <= {(kind.vcpus, kind.memory_mib) for kind in found_kinds}
    assert all(2 <= kind.vcpus <= 4 and 4096 <= kind.memory_mib <= 8192 for kind in found_kinds)


@pytest.mark.parametrize(
    ("choice", "burstable"), [("excluded", {False}), ("required", {True}), ("included", {True, False})]
)
def test_burstable_types_are_as_asked_for(alice: "EC2Client", choice: str, burstable: set[bool]) -> None:
    assert {kind.burstable for kind in kinds(alice, BurstablePerformance=choice)} == burstable


def test_burstable_types_are_left_out_when_nothing_is_said(alice: "EC2Client") -> None:
    assert not any(kind.burstable for kind in kinds(alice))


def test_an_architecture_chooses_its_types(alice: "EC2Client") -> None:
    assert found(alice, "i386", BurstablePerformance="required") == {
        "t1.micro",
        "t2.nano",
        "t2.micro",
        "t2.small",
        "t2.medium",
    } & found(alice, "x86_64", BurstablePerformance="required")


def test_names_are_allowed_and_excluded_by_wildcards(alice: "EC2Client") -> None:
    allowed = found(alice, AllowedInstanceTypes=["c5*"])

    assert {name.partition(".")[0] for name in allowed} == {"c5", "c5a", "c5ad", "c5d"}
    assert not found(alice, ExcludedInstanceTypes=["c5*"]) & allowed


def test_allowed_and_excluded_names_together_are_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterCombination"):
        found(alice, AllowedInstanceTypes=["c5*"], ExcludedInstanceTypes=["m5*"])


def test_generations_and_manufacturers_are_chosen(alice: "EC2Client") -> None:
    chosen = kinds(alice, InstanceGenerations=["current"], CpuManufacturers=["amd"])

    assert chosen
    assert {(kind.current_generation, kind.manufacturer) for kind in chosen} == {(True, "AMD")}


def test_what_no_type_has_finds_none(alice: "EC2Client") -> None:
    assert found(alice, BareMetal="required") == set()
    assert found(alice, AcceleratorCount={"Min": 1}) == set()
    assert found(alice, AcceleratorCount={"Max": 0}) == found(alice)


def test_an_upside_down_range_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        found(alice, VCpuCount={"Min": 4, "Max": 2})
