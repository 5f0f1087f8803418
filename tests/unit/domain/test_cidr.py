"""Ranges of VPCs and subnets."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.cidr import free_range, is_within, overlaps, provided_ipv6_range, subnet_range, vpc_range
from bakehouse.domain.errors import Ec2Error


def outcome(text: str) -> str:
    """Return the range that a text makes, or the code of its refusal."""
    try:
        return vpc_range(text)
    except Ec2Error as err:
        return err.code


@given(st.text(max_size=20))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    found = outcome(text)

    assert found.startswith("Invalid") or 16 <= ipaddress.IPv4Network(found).prefixlen <= 28


@given(st.ip_addresses(v=4), st.integers(16, 28))
def test_host_bits_are_cleared(address: ipaddress.IPv4Address, prefix: int) -> None:
    found = outcome(f"{address}/{prefix}")

    assert found == "InvalidVpc.Range" or address in ipaddress.IPv4Network(found)


@given(st.sets(st.integers(0, 15), max_size=15))
def test_a_free_range_overlaps_none_that_is_taken(numbers: set[int]) -> None:
    taken = [f"172.31.{number * 16}.0/20" for number in numbers]

    found = free_range("172.31.0.0/16", taken, 20)

    assert found is not None
    assert is_within(found, ["172.31.0.0/16"])
    assert not overlaps(found, taken)


def test_there_is_no_free_range_in_a_full_vpc() -> None:
    assert free_range("172.31.0.0/16", ["172.31.0.0/17", "172.31.128.0/17"], 20) is None
    assert free_range("172.31.0.0/24", [], 20) is None


@given(st.text("0123456789abcdef", min_size=17, max_size=17))
def test_an_ipv6_range_follows_from_the_vpc_and_is_private(digits: str) -> None:
    network = ipaddress.IPv6Network(provided_ipv6_range(f"vpc-{digits}"))

    assert network.prefixlen == 56
    assert network.is_private
    assert not network.overlaps(ipaddress.IPv6Network("fd00:ec2::/32"))


@pytest.mark.parametrize(
    ("text", "code"),
    [("10.0.0.0/24", "InvalidSubnet.Conflict"), ("10.2.0.0/24", "InvalidSubnet.Range"), ("10.0.0.0", "Invalid")],
)
def test_a_subnet_lies_in_its_vpc_and_beside_the_others(text: str, code: str) -> None:
    with pytest.raises(Ec2Error) as refusal:
        subnet_range(text, ["10.0.0.0/16", "10.1.0.0/16"], ["10.0.0.0/20"])

    assert refusal.value.code.startswith(code)


def test_a_subnet_may_lie_in_any_of_its_vpcs_ranges() -> None:
    assert subnet_range("10.1.3.9/24", ["10.0.0.0/16", "10.1.0.0/16"], ["10.0.0.0/20"]) == "10.1.3.0/24"
