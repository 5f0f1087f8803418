"""An image of a publisher, from its server to a shell inside."""

import asyncio
import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.publisher import publisher
from tests.vm.host import Host

from bakehouse.domain.published_image import PUBLISHED_IMAGES
from bakehouse.drivers.images import builder
from bakehouse.drivers.images.recipe import RecipeName
from bakehouse.settings import default_cache

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_pulled_image_is_launched_by_its_public_name(host: Host, ec2: "EC2Client", tmp_path: Path) -> None:
    published = PUBLISHED_IMAGES["alpine-3.24-bios", "x86_64"]
    built = asyncio.run(builder.build(RecipeName.MINIMAL, cache=default_cache(os.environ)))
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", built.path, disk], check=True)
    content = disk.read_bytes()
    with publisher() as web:
        web.serve(f"{published.folder}/{published.checksums}", hashlib.sha512(content).hexdigest().encode())
        web.serve(f"{published.folder}/{published.file}", content, cuts=[len(content) // 2])
        pulled = host.bakehouse("image", "pull", published.name, "--url-base", web.url).stdout.strip()

    guest = host.launch(f"resolve:ssm:{published.parameter}")

    guest.wait_for_ssh()
    assert guest.describe()["ImageId"] == pulled
    assert guest.run("cat /proc/uptime")
    assert ec2.describe_images(ImageIds=[pulled])["Images"][0]["BootMode"] == "legacy-bios"
