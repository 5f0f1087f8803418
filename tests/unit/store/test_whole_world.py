"""Records of every kind survive a restart as they were."""

from dataclasses import replace
from pathlib import Path

from tests.unit.store.disk import contents
from tests.world import World

from bakehouse.app.image_catalogue import ImageChange
from bakehouse.app.image_usage_reports import ReportRequest
from bakehouse.app.images import ImageOfInstance
from bakehouse.app.nat_gateways import NatGatewayRequest
from bakehouse.app.prefix_lists import PrefixListRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.image_usage_report import ReportedType
from bakehouse.domain.prefix_list import AddressFamily
from bakehouse.store.database import Database, sqlite_url
from bakehouse.store.store import Store


async def test_a_restarted_server_reads_every_record_as_it_was(tmp_path: Path) -> None:
    world = await World.begin(tmp_path)
    instance_id = await world.running_instance()
    await world.app.key_pairs.create(world.caller, "k", "ed25519", {"a": "ä<&>"})
    await world.app.iam_roles.create(world.caller, "role", '{"Statement": []}', tags={"a": "ä<&>"})
    await world.app.iam_profiles.create(world.caller, "profile", tags={})
    await world.app.iam_policies.create(world.caller, "policy", '{"Statement": []}', tags={})
    await world.app.security_groups.create(world.caller, name="g", description="d", vpc_id=None, tags={})
    await world.app.volumes.create(world.caller, VolumeRequest(availability_zone="us-east-1a", size_gib=1))
    baked = ImageOfInstance(instance_id=instance_id, name="baked", reboot=False)
    image = await world.app.images.create(world.caller, baked)
    await world.app.image_watermarks.attach(world.caller, image.id, "approved")
    guest = replace(world.caller, account_id="444455556666")
    await world.app.images.change(world.caller, image.id, ImageChange(add_launchers=[guest.account_id]))
    await world.app.tags.create(guest, [image.id], {"of": "the guest"})
    report = ReportRequest(image_id=image.id, resource_types=(ReportedType(name="ec2:Instance"),))
    await world.app.image_usage_reports.create(world.caller, report)
    await world.app.images.deregister(world.caller, world.instance(instance_id).image_id, delete_snapshots=False)
    (vpc,) = world.store.vpcs
    await world.app.egress_only_gateways.create(world.caller, vpc.id, {})
    ranges = PrefixListRequest(name="offices", family=AddressFamily.IPV4, max_entries=1)
    await world.app.prefix_lists.create(world.caller, ranges)
    address = await world.app.elastic_addresses.allocate(world.caller, {})
    outside = NatGatewayRequest(subnet_id=world.instance(instance_id).subnet_id, allocation_id=address.id)
    await world.app.nat_gateways.create(world.caller, outside)
    await world.sagas.settle()
    before = contents(world.store)
    await world.stop_server()

    again = Store(Database(sqlite_url(world.database)))

    assert contents(again) == before
    assert sorted(name for name, records in before.items() if not records) == [
        "account_settings",
        "client_tokens",
        "export_image_tasks",
        "export_instance_tasks",
        "fleets",
        "import_image_tasks",
        "import_snapshot_tasks",
        "launch_template_versions",
        "launch_templates",
        "placement_groups",
        "public_parameters",
        "recycle_bin",
        "replace_root_volume_tasks",
        "retention_rules",
        "sagas",
        "spot_requests",
        "store_image_tasks",
        "subnet_cidr_reservations",
    ]
    again.close()
