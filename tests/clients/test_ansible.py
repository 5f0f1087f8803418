"""Ansible's amazon.aws: its modules by playbooks, and the aws_ec2 inventory with a command in the guest found."""

from pathlib import Path

import pytest
from tests.clients.client import Client
from tests.clients.programs import python_environment
from tests.system.shop import Shop
from tests.vm.host import GROUP_NAME, KEY_NAME, Host

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]

PLAYBOOKS = Path(__file__).parent / "playbooks"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKRDgtzVR0GDNghfHARj5nMGdK6SSQnxU+wb5MNPePkw somebody"

QUIET = {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false", "ANSIBLE_NOCOLOR": "1"}

#: Groups by tag, named by id, reached at the public address.
INVENTORY = """
plugin: amazon.aws.aws_ec2
regions: [us-east-1]
filters: {"tag:Role": web, instance-state-name: running}
hostnames: [instance-id]
keyed_groups: [{key: tags.Role, prefix: role}]
compose: {ansible_host: public_ip_address}
"""


@pytest.mark.parametrize("playbook", ["storage", "network"])
def test_the_modules_make_change_and_remove(client: Client, shop: Shop, playbook: str) -> None:
    ansible = python_environment("ansible")
    variables = f"image={shop.image_id} public_key='{PUBLIC_KEY}'"

    said = client.run([ansible / "ansible-playbook", "-e", variables, PLAYBOOKS / f"{playbook}.yml"], QUIET)

    assert "failed=0" in said


def test_a_machine_of_a_playbook_is_found_by_the_inventory_and_logged_in_to(real_client: Client, host: Host) -> None:
    bin_folder = python_environment("ansible")
    inventory = real_client.folder / "site.aws_ec2.yml"
    inventory.write_text(INVENTORY)
    play: list[str | Path] = [bin_folder / "ansible-playbook", PLAYBOOKS / "machine.yml"]
    play += ["-e", f"image={host.image()} key={KEY_NAME} group={GROUP_NAME}"]

    real_client.run([*play, "-e", "state=running"], QUIET)
    (instance_id,) = [it for it, state in host.states().items() if state == "running"]
    guest = host.guest(instance_id)
    guest.wait_for_ssh()
    found = real_client.json([bin_folder / "ansible-inventory", "-i", inventory, "--list"], QUIET)
    login = ["-u", "root", "--private-key", str(host.home / "test.pem")]
    login += ["--ssh-common-args=-oUserKnownHostsFile=/dev/null"]
    command: list[str | Path] = [
        bin_folder / "ansible",
        "-i",
        inventory,
        "role_web",
        *login,
        "-m",
        "raw",
        "-a",
        "hostname",
    ]
    said = real_client.run(command, {**QUIET, "ANSIBLE_HOST_KEY_CHECKING": "false"})

    assert found["role_web"]["hosts"] == [guest.instance_id]
    assert guest.describe()["PrivateDnsName"].split(".")[0] in said
    real_client.run([*play, "-e", "state=absent"], QUIET)
