"""Cloud Custodian: policies that find what breaks a rule, and act on it."""

import json

import pytest
from tests.clients.client import Client
from tests.clients.programs import python_environment
from tests.system.shop import Shop

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]

POLICIES = """
policies:
  - name: instances-have-owners
    resource: aws.ec2
    filters:
      - "State.Name": running
      - "tag:Owner": absent
    actions:
      - type: tag
        tags: {Owner: nobody}
      - type: stop
        force: true
  - name: volumes-are-attached
    resource: aws.ebs
    filters:
      - Attachments: []
    actions:
      - type: snapshot
      - type: delete
  - name: images-are-ours
    resource: aws.ami
    filters:
      - "Name": test
"""


def test_policies_find_and_act(client: Client, shop: Shop) -> None:
    owner = [{"Key": "Owner", "Value": "somebody"}]
    shop.launch(TagSpecifications=[{"ResourceType": "instance", "Tags": owner}])
    nobodys = shop.launch()["InstanceId"]
    volume = shop.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    policies = client.folder / "policies.yml"
    policies.write_text(POLICIES)

    client.run([python_environment("custodian") / "custodian", "run", "-s", "out", "--cache-period", "0", policies])

    def found(policy: str) -> list[str]:
        resources = json.loads((client.folder / "out" / policy / "resources.json").read_text())
        return [str(it.get("InstanceId") or it.get("VolumeId") or it["ImageId"]) for it in resources]

    assert found("instances-have-owners") == [nobodys]
    assert found("volumes-are-attached") == [volume]
    assert found("images-are-ours") == [shop.image_id]
    assert shop.describe(nobodys)["State"]["Name"] in ("stopping", "stopped")
    assert {"Key": "Owner", "Value": "nobody"} in shop.describe(nobodys)["Tags"]
    assert shop.ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "volume-id", "Values": [volume]}])[
        "Snapshots"
    ]
