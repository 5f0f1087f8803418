"""Metadata is gathered from the records, in a real database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.imds.samples import ACCOUNT, NOW, REGION, SUBNET, VPC, VPC_ID, ZONE, group, instance, interface

from bakehouse.app.context import AppContext
from bakehouse.app.login_keys import LoginKeys
from bakehouse.app.metadata import Metadata
from bakehouse.app.role_sessions import RoleSessions
from bakehouse.domain.image import BlockDevice, Image, ImageState
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.instance_metadata import InstanceMetadata
from bakehouse.domain.volume import AttachmentState, Volume, VolumeAttachment, VolumeState
from bakehouse.ports.host_names import NoHostNames
from bakehouse.store.database import Database, sqlite_url
from bakehouse.store.migrate import migrate
from bakehouse.store.store import Store

ADDRESS = "172.31.16.10"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = sqlite_url(tmp_path / "bakehouse.db")
    migrate(url)
    store = Store(Database(url))
    yield store
    store.close()


async def put(store: Store, *records: Any) -> None:
    async with store.transaction() as tx:
        for record in records:
            tx.put(record)


async def gathered(store: Store, *more: Any) -> InstanceMetadata:
    """Return the sample instance's metadata, with more records beside its own."""
    await put(store, VPC, SUBNET, group(0, "web"), group(1, "ssh"), instance(), interface(), *more)
    metadata = of(store, VPC_ID, ADDRESS)
    assert metadata is not None
    return metadata


def of(store: Store, vpc_id: str, private_ip: str) -> InstanceMetadata | None:
    parts = {"store": store, "now": lambda: NOW, "credentials_key": b"of tests", "host_names": NoHostNames()}
    context = cast("AppContext", SimpleNamespace(**parts))
    return Metadata(context, RoleSessions(context), LoginKeys(context)).of(vpc_id, private_ip)


def volume(number: int, device_name: str, state: AttachmentState = AttachmentState.ATTACHED) -> Volume:
    return Volume(
        id=f"vol-0123456789abcdef{number}",
        account_id=ACCOUNT,
        region=REGION,
        availability_zone=ZONE,
        size_gib=1,
        state=VolumeState.IN_USE,
        type="gp3",
        created_at=NOW,
        attachment=VolumeAttachment(
            instance_id=instance().id,
            device_name=device_name,
            state=state,
            attached_at=NOW,
            delete_on_termination=True,
        ),
    )


def image(*block_devices: BlockDevice) -> Image:
    return Image(
        id=instance().image_id,
        account_id=ACCOUNT,
        region=REGION,
        name="debian-12",
        description="",
        state=ImageState.AVAILABLE,
        architecture="x86_64",
        root_device_name="/dev/xvda",
        block_devices=block_devices,
        created_at=NOW,
    )


async def test_an_address_finds_its_instance(store: Store) -> None:
    assert (await gathered(store)).instance == instance()


async def test_the_interface_and_its_network_come_along(store: Store) -> None:
    metadata = await gathered(store)

    (found,) = metadata.interfaces
    assert (found.interface, found.subnet, found.vpc) == (interface(), SUBNET, VPC)


async def test_groups_come_in_the_interfaces_order(store: Store) -> None:
    metadata = await gathered(store, interface(group_ids=(group(1, "ssh").id, group(0, "web").id)))

    assert [security_group.name for security_group in metadata.groups] == ["ssh", "web"]


async def test_an_address_of_another_vpc_finds_nothing(store: Store) -> None:
    await gathered(store)

    assert of(store, "vpc-0123456789abcdef9", ADDRESS) is None


async def test_a_free_address_finds_nothing(store: Store) -> None:
    await gathered(store)

    assert of(store, VPC_ID, "172.31.16.11") is None


async def test_a_terminated_instances_address_finds_nothing(store: Store) -> None:
    await gathered(store)
    await put(store, instance(state=InstanceState.TERMINATED))

    assert of(store, VPC_ID, ADDRESS) is None


async def test_an_address_used_again_finds_the_living_instance(store: Store) -> None:
    await gathered(store)
    old_interface = replace(interface(), id="eni-0123456789abcdef9", instance_id="i-0123456789abcdef9")
    await put(store, instance(id="i-0123456789abcdef9", state=InstanceState.TERMINATED), old_interface)

    metadata = of(store, VPC_ID, ADDRESS)

    assert metadata is not None
    assert metadata.instance.state is InstanceState.RUNNING


async def test_attached_volumes_beside_the_root_are_data_devices(store: Store) -> None:
    metadata = await gathered(store, volume(0, "/dev/xvda"), volume(1, "/dev/sdg"), volume(2, "/dev/sdf"))

    assert metadata.data_devices == ("/dev/sdf", "/dev/sdg")


async def test_a_volume_on_its_way_out_is_no_data_device(store: Store) -> None:
    metadata = await gathered(store, volume(1, "/dev/sdf", AttachmentState.DETACHING))

    assert metadata.data_devices == ()


async def test_instance_store_of_the_images_mapping_is_listed(store: Store) -> None:
    root = BlockDevice(device_name="/dev/xvda", snapshot_id="snap-0123456789abcdef0")
    metadata = await gathered(store, image(root, BlockDevice(device_name="/dev/sdb", virtual_name="ephemeral0")))

    assert metadata.ephemeral_devices == (("ephemeral0", "/dev/sdb"),)


async def test_an_instance_whose_image_is_gone_has_metadata(store: Store) -> None:
    assert (await gathered(store)).ephemeral_devices == ()
