"""Names and addresses of segments, and the public addresses of a home."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.public_pool import public_pool
from bakehouse.drivers.network.linux import layout

PUBLIC = IPv4Network("127.0.0.0/8")


@pytest.mark.parametrize(
    ("interface_id", "expected"),
    [("eni-0123456789abcdef0", "tap56789abcdef0"), ("eni-1", "tapeni-1")],
)
def test_a_tap_is_named_by_the_end_of_its_id(interface_id: str, expected: str) -> None:
    assert layout.tap_name(interface_id) == expected


@given(st.from_regex(r"eni-[0-9a-f]{17}", fullmatch=True))
def test_linux_takes_the_name_of_any_tap(interface_id: str) -> None:
    assert len(layout.tap_name(interface_id)) <= 15


@pytest.mark.parametrize("identifier", ["", "../etc", "a b", "a;b", 'a"b', "-a", "a" * 62])
def test_an_id_with_other_characters_is_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        layout.SegmentLayout(Path("/home"), identifier).directory  # noqa: B018 - a property that checks


def test_gateway_and_resolver_are_where_ec2_has_them() -> None:
    assert layout.gateway("172.31.16.0/20") == "172.31.16.1"
    assert layout.resolver("172.31.0.0/16") == "172.31.0.2"


@given(st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1))
def test_two_public_addresses_never_meet_between_host_and_segment(one: int, other: int) -> None:
    middle = [layout.middle_address(str(PUBLIC[number])) for number in (one, other)]

    assert (middle[0] == middle[1]) is (one == other)
    assert IPv4Address(middle[0]) in IPv4Network("240.0.0.0/8")


def test_segments_of_two_homes_have_two_names_on_the_host() -> None:
    one, other = (layout.SegmentLayout(Path(home), "vpc-0") for home in ("/a", "/b"))

    assert one.host_interface != other.host_interface
    assert len(one.new_link) <= 15


@given(st.text(min_size=1, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_home_has_its_own_public_addresses(path: str) -> None:
    pool = public_pool(Path("/") / path)

    assert pool.prefixlen == 22
    assert IPv4Address("127.16.0.0") <= pool[0]
    assert pool[-1] <= IPv4Address("127.254.255.255")
    assert pool == public_pool(Path("/") / path)
