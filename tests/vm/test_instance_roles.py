"""What a real guest sees of its instance's options: processors, names, credentials; and what is seen of the guest."""

import json
from typing import Any

import boto3
import pytest
from tests.vm.guest import Guest
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(180)]

NAMES: Any = {"HostnameType": "resource-name", "EnableResourceNameDnsARecord": True}


def client(host: Host, service: str, key_id: str, secret: str, token: str | None = None) -> Any:
    """Return a client that signs with these credentials."""
    return boto3.client(  # type: ignore[call-overload] # any service
        service,
        endpoint_url=host.ec2.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    own = json.loads((host.home / "credentials.json").read_text())
    iam = client(host, "iam", own["access_key_id"], own["secret_access_key"])
    iam.create_role(RoleName="web", AssumeRolePolicyDocument='{"Statement": []}')
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    launched = host.launch(InstanceType="t3.micro", IamInstanceProfile={"Name": "web"}, PrivateDnsNameOptions=NAMES)
    launched.wait_for_ssh()
    return launched


def test_a_guest_is_called_by_its_id_and_found_by_both_its_names(guest: Guest) -> None:
    address = guest.describe()["PrivateIpAddress"]

    assert guest.run("hostname") == guest.instance_id
    for name in (guest.instance_id, "ip-" + address.replace(".", "-")):
        assert address in guest.run(f"nslookup {name}.ec2.internal")


def test_a_guest_that_answers_is_well(guest: Guest, host: Host) -> None:
    host.ec2.get_waiter("instance_status_ok").wait(InstanceIds=[guest.instance_id])

    (status,) = host.ec2.describe_instance_status(InstanceIds=[guest.instance_id])["InstanceStatuses"]
    assert status["InstanceStatus"]["Details"][0]["Status"] == "passed"


def test_a_guests_credentials_are_its_roles(guest: Guest, host: Host) -> None:
    role = guest.run("imds get meta-data/iam/security-credentials/")

    credentials = json.loads(guest.run(f"imds get meta-data/iam/security-credentials/{role}"))

    key = [credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "Token")]
    identity = client(host, "sts", *key).get_caller_identity()
    assert identity["Arn"].endswith(f":assumed-role/web/{guest.instance_id}")


def test_a_guest_reads_of_events_and_tags_while_it_runs(guest: Guest, host: Host) -> None:
    host.bakehouse("event", "schedule", guest.instance_id, "system-reboot")
    host.ec2.modify_instance_metadata_options(InstanceId=guest.instance_id, InstanceMetadataTags="enabled")
    host.ec2.create_tags(Resources=[guest.instance_id], Tags=[{"Key": "tier", "Value": "data"}])

    assert guest.run("imds get meta-data/tags/instance/tier") == "data"
    (event,) = json.loads(guest.run("imds get meta-data/events/maintenance/scheduled"))
    assert (event["Code"], event["State"]) == ("system-reboot", "active")


def test_a_guest_has_the_processors_that_are_chosen_for_it(guest: Guest, host: Host) -> None:
    assert guest.run("nproc") == "2"
    host.ec2.stop_instances(InstanceIds=[guest.instance_id], Force=True)
    guest.wait_for_state("stopped")

    host.ec2.modify_instance_cpu_options(InstanceId=guest.instance_id, CoreCount=1, ThreadsPerCore=1)
    host.ec2.start_instances(InstanceIds=[guest.instance_id])

    guest.wait_for_ssh()
    assert guest.run("nproc") == "1"
