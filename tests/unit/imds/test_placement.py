"""What a guest reads of its placement group."""

from tests.unit.imds.samples import metadata
from tests.unit.imds.test_tree import listing_at, text_at

from bakehouse.domain.instance import Membership


def test_a_guest_reads_its_group_and_partition() -> None:
    instance = metadata(membership=Membership(group_id="pg-0123456789abcdef0", group_name="g", partition=3))

    assert text_at(instance, "latest/meta-data/placement/group-name") == "g"
    assert text_at(instance, "latest/meta-data/placement/partition-number") == "3"


def test_a_group_without_partitions_tells_of_none() -> None:
    instance = metadata(membership=Membership(group_id="pg-0123456789abcdef0", group_name="g"))

    listing = listing_at(instance, "latest/meta-data/placement")
    assert listing == ["availability-zone", "availability-zone-id", "group-name", "region"]
