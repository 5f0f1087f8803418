"""Names of public addresses: what they look like, and that they are their addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.public_names import PUBLIC_DOMAIN, PublicNaming, address_of, public_name
from bakehouse.domain.region import REGIONS

ADDRESSES = st.ip_addresses(v=4).map(str)
REGION = st.sampled_from(sorted(REGIONS))


@pytest.mark.parametrize(
    ("region", "name"),
    [
        ("us-east-1", "ec2-127-16-0-10.compute-1.bakehouse.internal"),
        ("us-east-2", "ec2-127-16-0-10.us-east-2.compute.bakehouse.internal"),
        ("eu-west-1", "ec2-127-16-0-10.eu-west-1.compute.bakehouse.internal"),
    ],
)
def test_a_public_name_has_ec2s_form(region: str, name: str) -> None:
    assert public_name("127.16.0.10", region) == name


@given(ADDRESSES, REGION, st.booleans(), st.sampled_from(["", "."]))
def test_a_name_is_its_address(address: str, region: str, capital: bool, end: str) -> None:  # noqa: FBT001 - hypothesis
    name = public_name(address, region) + end

    assert address_of(name.upper() if capital else name) == address


@given(st.text() | st.from_regex(r"ec2-[0-9-]{1,20}\.[a-z0-9.-]{0,30}", fullmatch=True))
def test_no_other_text_is_a_name(text: str) -> None:
    address = address_of(text)

    assert address is None or text.lower().removesuffix(".") in {public_name(address, region) for region in REGIONS}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ec2-127-16-0-10",
        "ec2-127-16-0-256.compute-1.bakehouse.internal",
        "ec2-127-16-0-010.compute-1.bakehouse.internal",
        "ec2-127-16-0-10.us-east-1.compute.bakehouse.internal",
        "ec2-127-16-0-10.compute-1.amazonaws.com",
        "a.ec2-127-16-0-10.compute-1.bakehouse.internal",
        "i-0123456789abcdef0",
    ],
)
def test_what_only_looks_like_a_name_is_none(text: str) -> None:
    assert address_of(text) is None


def test_the_domain_is_nobodys() -> None:
    assert PUBLIC_DOMAIN.endswith(".internal")


@pytest.mark.parametrize(
    ("naming", "shown"),
    [
        (PublicNaming.NONE, ""),
        (PublicNaming.ADDRESS, "127.16.0.10"),
        (PublicNaming.NAME, "ec2-127-16-0-10.compute-1.bakehouse.internal"),
    ],
)
def test_answers_call_an_address_as_its_network_says(naming: PublicNaming, shown: str) -> None:
    assert naming.of("127.16.0.10", "us-east-1") == shown
    assert naming.of(None, "us-east-1") == ""
