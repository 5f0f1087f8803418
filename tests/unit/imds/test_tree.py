import json
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.imds.samples import metadata

from bakehouse.domain.instance_metadata import InstanceMetadata, is_shown_tag_key
from bakehouse.domain.metadata_options import MetadataOptions
from bakehouse.imds.nodes import Directory, Node
from bakehouse.imds.tree import VERSIONS, find

ADDRESSES = st.ip_addresses(v=4).map(str)
#: What CreateKeyPair allows; a line feed cannot be in a list of lines.
KEY_NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)
DEVICES = st.lists(st.sampled_from([f"/dev/sd{letter}" for letter in "fghijklmnop"]), unique=True).map(tuple)
INSTANCES = st.builds(
    metadata,
    public_ip=st.none() | ADDRESSES,
    private_ip=ADDRESSES,
    key_name=st.none() | KEY_NAMES,
    user_data=st.binary(max_size=64),
    data_devices=DEVICES,
    ephemeral_devices=st.sampled_from([(), (("ephemeral0", "/dev/sdb"),)]),
    tags=st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=20), max_size=4),
    metadata_options=st.builds(MetadataOptions, tags_enabled=st.booleans()),
)


def text_at(instance: InstanceMetadata, path: str) -> str:
    node = find(instance, path)
    assert isinstance(node, str)
    return node


def listing_at(instance: InstanceMetadata, path: str) -> list[str]:
    node = find(instance, path)
    assert isinstance(node, Directory)
    return node.listing().split("\n")


def crawl(instance: InstanceMetadata, path: str) -> Iterator[tuple[str, Node | None]]:
    """Read a directory as cloud-init does: a slash is descended into, `0=name` is read at `0/openssh-key`."""
    node = find(instance, path)
    yield path, node
    if not isinstance(node, Directory):
        return
    for line in node.listing().splitlines():
        number, equals, _ = line.partition("=")
        if line.endswith("/") and not equals:
            yield from crawl(instance, f"{path}{line}")
        elif equals and number.isdigit():
            yield from crawl(instance, f"{path}{number}/openssh-key")
        else:
            yield from crawl(instance, f"{path}{line}")


@given(instance=INSTANCES, version=st.sampled_from(VERSIONS))
def test_each_listed_name_can_be_read(instance: InstanceMetadata, version: str) -> None:
    # cloud-init takes a tag such as `1=x` for a public key, on EC2 too.
    assume(not any(key.partition("=")[0].isdigit() and "=" in key for key in instance.tags))

    for top in ("meta-data/", "dynamic/instance-identity/"):
        missing = [path for path, node in crawl(instance, f"{version}/{top}") if node is None]
        assert missing == []


@given(instance=INSTANCES)
def test_no_leaf_of_the_metadata_is_empty_but_a_tag(instance: InstanceMetadata) -> None:
    empty = [path for path, node in crawl(instance, "latest/meta-data/") if node == "" and "/tags/" not in path]

    assert empty == []


@given(
    path=st.text("ab/.-0", max_size=12) | st.lists(st.sampled_from(["latest", "meta-data", "mac", "x"])).map("/".join)
)
def test_any_path_has_an_answer(path: str) -> None:
    find(metadata(), path)


@pytest.mark.parametrize(
    ("name", "value"),
    {
        "ami-id": "ami-0123456789abcdef0",
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping/ami": "/dev/xvda",
        "block-device-mapping/ebs1": "sdf",
        "block-device-mapping/ephemeral0": "sdb",
        "block-device-mapping/root": "/dev/xvda",
        "events/maintenance/history": "[]",
        "events/maintenance/scheduled": "[]",
        "hostname": "ip-172-31-16-10.eu-central-1.compute.internal",
        "instance-action": "none",
        "instance-id": "i-0123456789abcdef0",
        "instance-life-cycle": "on-demand",
        "instance-type": "t3.micro",
        "local-hostname": "ip-172-31-16-10.eu-central-1.compute.internal",
        "local-ipv4": "172.31.16.10",
        "mac": "02:11:22:33:44:55",
        "network/interfaces/macs/02:11:22:33:44:55/device-number": "0",
        "network/interfaces/macs/02:11:22:33:44:55/interface-id": "eni-0123456789abcdef0",
        "network/interfaces/macs/02:11:22:33:44:55/ipv4-associations/127.20.3.4": "172.31.16.10",
        "network/interfaces/macs/02:11:22:33:44:55/local-ipv4s": "172.31.16.10",
        "network/interfaces/macs/02:11:22:33:44:55/owner-id": "111122223333",
        "network/interfaces/macs/02:11:22:33:44:55/public-ipv4s": "127.20.3.4",
        "network/interfaces/macs/02:11:22:33:44:55/security-group-ids": "sg-0123456789abcdef0\nsg-0123456789abcdef1",
        "network/interfaces/macs/02:11:22:33:44:55/security-groups": "web\nssh",
        "network/interfaces/macs/02:11:22:33:44:55/subnet-ipv4-cidr-block": "172.31.16.0/20",
        "network/interfaces/macs/02:11:22:33:44:55/vpc-id": "vpc-0123456789abcdef0",
        "network/interfaces/macs/02:11:22:33:44:55/vpc-ipv4-cidr-blocks": "172.31.0.0/16",
        "placement/availability-zone": "eu-central-1b",
        "placement/availability-zone-id": "euc1-az2",
        "placement/region": "eu-central-1",
        "profile": "default-hvm",
        "public-hostname": "127.20.3.4",
        "public-ipv4": "127.20.3.4",
        "public-keys/0/openssh-key": "ssh-ed25519 AAAAC3Nz my-key\n",
        "reservation-id": "r-0123456789abcdef0",
        "security-groups": "web\nssh",
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
        "system": "nitro",
        "tags/instance/Name": "web",
    }.items(),
)
def test_a_name_has_its_value(name: str, value: str) -> None:
    instance = metadata(data_devices=("/dev/sdf",), ephemeral_devices=(("ephemeral0", "/dev/sdb"),))

    assert text_at(instance, f"latest/meta-data/{name}") == value


def test_the_root_lists_the_versions() -> None:
    assert listing_at(metadata(), "/") == list(VERSIONS)


def test_a_version_lists_its_parts_without_slashes() -> None:
    assert listing_at(metadata(), "/2021-03-23") == ["dynamic", "meta-data", "user-data"]


def test_directories_are_listed_with_a_slash() -> None:
    assert listing_at(metadata(), "latest/meta-data/network") == ["interfaces/"]


def test_public_keys_are_listed_by_number_and_name() -> None:
    assert listing_at(metadata(), "latest/meta-data/public-keys/") == ["0=my-key"]


def test_a_double_slash_counts_as_one() -> None:
    assert text_at(metadata(), "/latest//meta-data///instance-id/") == "i-0123456789abcdef0"


@pytest.mark.parametrize(
    "path",
    [
        "1999-01-01/meta-data/instance-id",
        "latest/meta-data/iam/",
        "latest/meta-data/iam/security-credentials/",
        "latest/meta-data/spot/instance-action",
        "latest/meta-data/managed-ssh-keys/active-keys/admin/",
        "latest/meta-data/instance-id/more",
        "latest/dynamic/instance-identity/pkcs7",
        "latest/dynamic/instance-identity/signature",
    ],
)
def test_what_an_instance_has_not_is_not_found(path: str) -> None:
    assert find(metadata(), path) is None


def test_an_instance_without_a_public_address_has_no_public_names() -> None:
    names = [path for path, _ in crawl(metadata(public_ip=None), "latest/meta-data/") if "public-" in path]

    assert names == ["latest/meta-data/public-keys/", "latest/meta-data/public-keys/0/openssh-key"]


def test_an_instance_without_key_pair_lists_no_public_keys() -> None:
    assert "public-keys/" not in listing_at(metadata(key_name=None, public_key=None), "latest/meta-data/")


def test_user_data_is_given_as_its_bytes() -> None:
    assert find(metadata(user_data=b"\x1f\x8b\x00\xff"), "latest/user-data") == b"\x1f\x8b\x00\xff"


def test_an_instance_without_user_data_has_none() -> None:
    assert find(metadata(user_data=b""), "latest/user-data") is None


def test_tags_are_hidden_until_the_options_show_them() -> None:
    hidden = metadata(metadata_options=MetadataOptions(tags_enabled=False))

    assert find(hidden, "latest/meta-data/tags/") is None


def test_a_tag_that_is_no_name_in_a_path_is_hidden() -> None:
    instance = metadata(tags={"Name": "web", "team/app": "x", "a b": "y", "_index": "z", "..": "w"})

    assert listing_at(instance, "latest/meta-data/tags/instance/") == ["Name"]


@given(key=st.text(min_size=1, max_size=10))
def test_a_shown_tag_key_is_one_line_of_one_path_segment(key: str) -> None:
    if is_shown_tag_key(key):
        assert key.splitlines() == [key.strip("/")]


def test_the_identity_document_tells_the_instance() -> None:
    document = json.loads(text_at(metadata(), "latest/dynamic/instance-identity/document"))

    assert document == {
        "accountId": "111122223333",
        "architecture": "x86_64",
        "availabilityZone": "eu-central-1b",
        "billingProducts": None,
        "devpayProductCodes": None,
        "marketplaceProductCodes": None,
        "imageId": "ami-0123456789abcdef0",
        "instanceId": "i-0123456789abcdef0",
        "instanceType": "t3.micro",
        "kernelId": None,
        "pendingTime": "2026-11-23T06:30:00Z",
        "privateIp": "172.31.16.10",
        "ramdiskId": None,
        "region": "eu-central-1",
        "version": "2017-09-30",
    }
