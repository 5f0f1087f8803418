"""Apache Libcloud's EC2 driver, which signs by version 2: `libcloud_flow.py PORT PART...`, by its own Python.

The keys are in the environment. A part is one of the functions below; together they call most of what the driver has.
"""

import os
import sys
from pathlib import Path
from typing import Any

from libcloud.compute.deployment import ScriptDeployment
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

Driver = Any
Node = Any


def connect(port: str) -> Driver:
    """Return the driver, as its documentation says for a host that is not AWS's."""
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    driver = get_driver(Provider.EC2)(*keys, region="us-east-1", host="127.0.0.1", port=int(port), secure=False)
    assert driver.connection.signature_version == "2"
    return driver


def start(driver: Driver, image_id: str) -> None:
    """Launch a node and write down its id."""
    key = driver.create_key_pair("libcloud")
    assert [pair.name for pair in driver.list_key_pairs()] == ["libcloud"]
    group = driver.ex_create_security_group("libcloud", "made by libcloud")["group_id"]
    assert driver.ex_authorize_security_group("libcloud", "22", "22", "0.0.0.0/0")
    assert [found.id for found in driver.ex_get_security_groups(group_names=["libcloud"])] == [group]
    node = driver.create_node(
        name="first",
        image=driver.get_image(image_id),
        size=next(size for size in driver.list_sizes() if size.id == "t2.nano"),
        ex_keyname=key.name,
        ex_security_groups=["libcloud"],
        ex_userdata="#!/bin/sh\n",
        ex_metadata={"Team": "a & b"},
    )
    assert node.extra["tags"] == {"Name": "first", "Team": "a & b"}
    Path("node").write_text(node.id)


def life(driver: Driver) -> None:
    """Find the node again, reboot it, stop it, start it."""
    node = the_node(driver)
    ((node, addresses),) = driver.wait_until_running([node], wait_period=0.2)
    assert addresses
    assert [found.id for found in driver.list_nodes(ex_filters={"tag:Team": "a & b"})] == [node.id]
    assert "output" in driver.ex_get_console_output(node)
    assert driver.reboot_node(node)
    assert driver.stop_node(node)
    assert driver.start_node(node)


def volumes(driver: Driver) -> None:
    """Make a volume, attach it, take a snapshot of it, remove all of it."""
    node = the_node(driver)
    zones = driver.list_locations()
    zone = next(zone for zone in zones if zone.availability_zone.name == node.extra["availability"])
    volume = driver.create_volume(1, "data", location=zone, ex_volume_type="gp3")
    assert driver.attach_volume(node, volume, "/dev/sdf")
    snapshot = driver.create_volume_snapshot(volume, name="of data")
    assert [found.id for found in driver.list_volume_snapshots(volume)] == [snapshot.id]
    assert driver.detach_volume(volume)
    assert driver.destroy_volume(volume)
    assert driver.destroy_volume_snapshot(snapshot)


def images(driver: Driver) -> None:
    """Make an image of the node, copy it, remove both."""
    made = driver.create_image(the_node(driver), "made", reboot=False)
    assert [image.name for image in driver.list_images(ex_owner="self", ex_image_ids=[made.id])] == ["made"]
    copied = driver.copy_image(made, "us-east-1", name="copied")
    assert driver.ex_create_tags(copied, {"Kept": "no"})
    assert driver.ex_describe_tags(copied) == {"Kept": "no"}
    assert driver.delete_image(copied)
    assert driver.delete_image(made)


def networks(driver: Driver) -> None:
    """Make a VPC with a subnet and a gateway, and an elastic address; remove all of it."""
    network = driver.ex_create_network("10.9.0.0/16", name="own")
    subnet = driver.ex_create_subnet(network.id, "10.9.1.0/24", "us-east-1a", name="own")
    gateway = driver.ex_create_internet_gateway(name="own")
    assert driver.ex_attach_internet_gateway(gateway, network)
    table = driver.ex_create_route_table(network, name="own")
    association = driver.ex_associate_route_table(table, subnet)
    assert driver.ex_create_route(table, "0.0.0.0/0", internet_gateway=gateway)
    assert driver.ex_dissociate_route_table(association)
    assert driver.ex_delete_route_table(table)
    assert driver.ex_detach_internet_gateway(gateway, network)
    assert driver.ex_delete_internet_gateway(gateway)
    assert driver.ex_delete_subnet(subnet)
    assert driver.ex_delete_network(network)


def address(driver: Driver) -> None:
    """Give the node an elastic address and take it away again."""
    elastic = driver.ex_allocate_address()
    driver.ex_associate_address_with_node(the_node(driver), elastic)
    assert elastic.ip in [found.ip for found in driver.ex_describe_all_addresses()]
    elastic = next(found for found in driver.ex_describe_all_addresses() if found.ip == elastic.ip)
    assert driver.ex_disassociate_address(elastic)
    assert driver.ex_release_address(elastic)


def end(driver: Driver) -> None:
    """Terminate the node and see it terminated."""
    node = the_node(driver)
    assert driver.destroy_node(node)
    assert driver.list_nodes(ex_node_ids=[node.id])[0].state in (NodeState.TERMINATED, NodeState.UNKNOWN)
    assert driver.delete_key_pair(driver.get_key_pair("libcloud"))


def deploy(driver: Driver, image_id: str, key_name: str, key_file: str, group: str, ssh_port: str) -> None:
    """Launch a node, log in by Libcloud's own SSH, run a script there and print what it said."""
    script = ScriptDeployment("#!/bin/sh\nhostname\n")
    node = driver.deploy_node(
        name="deployed",
        image=driver.get_image(image_id),
        size=next(size for size in driver.list_sizes() if size.id == "t2.nano"),
        deploy=script,
        ssh_username="root",
        ssh_port=int(ssh_port),
        ssh_key=key_file,
        ssh_timeout=120,
        ex_keyname=key_name,
        ex_security_groups=[group],
    )
    print(script.exit_status, script.stdout.strip())  # noqa: T201 - for the test
    assert driver.destroy_node(node)


def the_node(driver: Driver) -> Node:
    """Return the node that `start` launched."""
    (node,) = driver.list_nodes(ex_node_ids=[Path("node").read_text()])
    return node


if __name__ == "__main__":
    globals()[sys.argv[2]](connect(sys.argv[1]), *sys.argv[3:])
