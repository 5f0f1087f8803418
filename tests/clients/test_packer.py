"""Packer's amazon-ebs builder: launch, provision over SSH, stop, image, tags, and nothing left but the image."""

import json
from typing import Any

import pytest
from tests.clients.client import Client
from tests.clients.programs import distribution_program
from tests.vm.host import Host

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1200)]

TEMPLATE: Any = {
    "variables": {"endpoint": "{{env `AWS_ENDPOINT_URL`}}"},
    "builders": [
        {
            "type": "amazon-ebs",
            "region": "us-east-1",
            "custom_endpoint_ec2": "{{user `endpoint`}}",
            "skip_region_validation": True,
            "source_ami_filter": {"filters": {"name": "debian-12-*"}, "owners": ["self"], "most_recent": True},
            "instance_type": "t2.micro",
            "ssh_username": "admin",
            "ssh_timeout": "10m",
            "ami_name": "baked-by-packer",
            "ami_users": ["111122223333"],
            "run_tags": {"Name": "packing"},
            "tags": {"Made": "by Packer, <ä & 'b'>"},
            "snapshot_tags": {"Made": "by Packer"},
        }
    ],
    "provisioners": [{"type": "shell", "inline": ["hostname > note", "sync", "sudo id -u"]}],
}


def test_a_template_is_baked_into_an_image(real_client: Client, host: Host) -> None:
    packer = distribution_program("packer")
    # The distribution's packer calls no home; the minimal image's SSH server does not understand its client.
    host.image("debian-12")
    template = real_client.folder / "template.json"
    template.write_text(json.dumps(TEMPLATE))
    groups = {group["GroupId"] for group in host.ec2.describe_security_groups()["SecurityGroups"]}

    quick = {"AWS_POLL_DELAY_SECONDS": "2", "CHECKPOINT_DISABLE": "1"}
    said = real_client.run([packer, "build", "-color=false", template], quick, timeout_s=1100)

    (image,) = host.ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["baked-by-packer"]}])[
        "Images"
    ]
    assert f"us-east-1: {image['ImageId']}" in said
    assert image["Tags"] == [{"Key": "Made", "Value": "by Packer, <ä & 'b'>"}]
    assert set(host.states().values()) == {"terminated"}
    assert {group["GroupId"] for group in host.ec2.describe_security_groups()["SecurityGroups"]} == groups
    assert [pair["KeyName"] for pair in host.ec2.describe_key_pairs()["KeyPairs"]] == ["test"]
