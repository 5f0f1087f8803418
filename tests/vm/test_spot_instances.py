"""A spot instance on a real machine: its guest reads the notice, and the notice outlives the server."""

from typing import TYPE_CHECKING

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def guest(host: Host) -> Guest:
    """A spot instance of the smallest guest, launched from a template, in a placement group."""
    host.ec2.create_placement_group(GroupName="apart", Strategy="partition")
    host.ec2.create_launch_template(
        LaunchTemplateName="spot",
        LaunchTemplateData={
            "ImageId": host.image(),
            "InstanceMarketOptions": {"MarketType": "spot"},
            "Placement": {"GroupName": "apart", "PartitionNumber": 2},
        },
    )
    return host.launch(LaunchTemplate={"LaunchTemplateName": "spot"})


def read(guest: Guest, path: str) -> str:
    """Return what the metadata service answers, nothing where there is nothing."""
    return guest.run(f"imds get meta-data/{path} 2>/dev/null || true")


def test_a_guest_reads_that_it_is_taken_away_and_is_whatever_becomes_of_the_server(
    host: Host, guest: Guest, ec2: "EC2Client"
) -> None:
    guest.wait_for_ssh()
    assert (read(guest, "instance-life-cycle"), read(guest, "spot/instance-action")) == ("spot", "")
    assert (read(guest, "placement/group-name"), read(guest, "placement/partition-number")) == ("apart", "2")

    at = host.bakehouse("spot", "interrupt", guest.instance_id, "--in", "30").stdout.strip()

    assert read(guest, "spot/termination-time") == at.replace("+00:00", "Z")
    host.kill()
    assert guest.machine_runs()
    host.start()
    guest.wait_for_state("terminated", timeout_s=120)
    assert not guest.machine_runs()
    wait_for(lambda: _code(ec2) == "instance-terminated-no-capacity", "the request tells of it")


def _code(ec2: "EC2Client") -> str:
    (request,) = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    return request["Status"]["Code"]
