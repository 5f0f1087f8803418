"""How guests may ask the metadata service: of one instance, and of all that an account will launch."""

from typing import Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop


def options_of(shop: Shop, instance_id: str) -> Any:
    return shop.describe(instance_id)["MetadataOptions"]


def defaults_of(shop: Shop) -> Any:
    return shop.ec2.get_instance_metadata_defaults()["AccountLevel"]


def seen_by_guest(shop: Shop, instance_id: str) -> Any:
    """Return what the metadata service looks up for the instance's guest."""
    instance = shop.describe(instance_id)
    metadata = shop.running.server.app.metadata.of(instance["VpcId"], instance["PrivateIpAddress"])
    assert metadata is not None
    return metadata


def test_options_change_while_the_instance_runs(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    answer = shop.ec2.modify_instance_metadata_options(
        InstanceId=instance_id, HttpTokens="optional", HttpPutResponseHopLimit=7
    )

    assert answer["InstanceMetadataOptions"]["State"] == "pending"
    shown = options_of(shop, instance_id)
    assert (shown["State"], shown["HttpTokens"], shown["HttpPutResponseHopLimit"]) == ("applied", "optional", 7)
    assert shown["HttpEndpoint"] == "enabled"
    assert not seen_by_guest(shop, instance_id).instance.metadata_options.tokens_required


def test_tags_are_seen_by_the_guest_as_soon_as_they_are_shown_and_as_soon_as_they_change(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "Name", "Value": "web"}])
    assert seen_by_guest(shop, instance_id).tags == {}

    shop.ec2.modify_instance_metadata_options(InstanceId=instance_id, InstanceMetadataTags="enabled")
    shop.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "role", "Value": "db"}])

    assert seen_by_guest(shop, instance_id).tags == {"Name": "web", "role": "db"}


def test_tags_whose_keys_are_no_names_of_paths_are_not_shown(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "two words", "Value": ""}])

    with refused("InvalidParameterValue"):
        shop.ec2.modify_instance_metadata_options(InstanceId=instance_id, InstanceMetadataTags="enabled")


def test_a_tag_whose_key_is_no_name_of_a_path_is_refused_where_tags_are_shown(shop: Shop) -> None:
    instance_id = shop.launch(MetadataOptions={"InstanceMetadataTags": "enabled"})["InstanceId"]

    with refused("InvalidParameterValue"):
        shop.ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "a/b", "Value": ""}])


@pytest.mark.parametrize("hops", [0, 65])
def test_hop_limits_that_no_packet_has_are_refused(shop: Shop, hops: int) -> None:
    instance_id = shop.launch()["InstanceId"]

    with refused("InvalidParameterValue"):
        shop.ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpPutResponseHopLimit=hops)


def test_an_account_has_no_preference_at_first(shop: Shop) -> None:
    assert defaults_of(shop) == {"ManagedBy": "account"}


def test_new_instances_begin_with_the_accounts_defaults(shop: Shop) -> None:
    before = shop.launch()["InstanceId"]

    shop.ec2.modify_instance_metadata_defaults(
        HttpTokens="optional", HttpPutResponseHopLimit=9, InstanceMetadataTags="enabled"
    )

    shown = shop.launch()["MetadataOptions"]
    assert (shown["HttpTokens"], shown["HttpPutResponseHopLimit"]) == ("optional", 9)
    assert shown["InstanceMetadataTags"] == "enabled"
    assert options_of(shop, before)["HttpTokens"] == "required"


def test_a_launch_says_it_last(shop: Shop) -> None:
    shop.ec2.modify_instance_metadata_defaults(HttpTokens="optional", HttpEndpoint="disabled")

    shown = shop.launch(MetadataOptions={"HttpTokens": "required"})["MetadataOptions"]

    assert (shown["HttpTokens"], shown["HttpEndpoint"]) == ("required", "disabled")


def test_an_account_takes_its_defaults_back_one_by_one(shop: Shop) -> None:
    shop.ec2.modify_instance_metadata_defaults(HttpTokens="optional", HttpPutResponseHopLimit=9)

    shop.ec2.modify_instance_metadata_defaults(HttpPutResponseHopLimit=-1)
    assert defaults_of(shop) == {"HttpTokens": "optional", "ManagedBy": "account"}

    shop.ec2.modify_instance_metadata_defaults(HttpTokens="no-preference")
    assert defaults_of(shop) == {"ManagedBy": "account"}


def test_an_account_that_enforces_tokens_launches_nothing_without(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.modify_instance_metadata_defaults(HttpTokensEnforced="enabled")

    with refused("UnsupportedOperation"):
        shop.launch_ids(MinCount=1, MaxCount=1, MetadataOptions={"HttpTokens": "optional"})
    with refused("UnsupportedOperation"):
        shop.ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpTokens="optional")
    with refused("InvalidParameterCombination"):
        shop.ec2.modify_instance_metadata_defaults(HttpTokens="optional")


def test_the_ipv6_endpoint_stays_disabled(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    shop.ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpProtocolIpv6="disabled")
    with refused("UnsupportedOperation"):
        shop.ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpProtocolIpv6="enabled")
