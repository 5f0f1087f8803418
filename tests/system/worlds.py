"""Servers in this process with a little of everything, for requests that are guessed."""

import gc
import tempfile
from pathlib import Path
from typing import Any

from tests.system.in_process import InProcess, in_process

#: After so many requests a world is drained: most of what it had is deleted.
REQUESTS_PER_WORLD = 150


class Worlds:
    """A server with a little of everything; another one after a while."""

    def __init__(self) -> None:
        self._asked = REQUESTS_PER_WORLD
        self._context: Any = None
        self._retaining = False

    def current(self, requests: int = 1) -> InProcess:
        """Return a server that is to be asked so many times."""
        if self._asked >= REQUESTS_PER_WORLD:
            self.close()
            self._asked = 0
            self._folder = tempfile.TemporaryDirectory()
            self._context = in_process(Path(self._folder.name) / "home")
            self._server: InProcess = self._context.__enter__()
            furnish(self._server, Path(self._folder.name) / "disk.raw")
            self._retaining = not self._retaining
            if self._retaining:
                self._server.retain_everything("alice")
        self._asked += requests
        return self._server

    def close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._folder.cleanup()
            gc.collect()


def furnish(server: InProcess, disk: Path) -> None:
    """Give two accounts an instance that runs, one that does not, and one of everything else."""
    with disk.open("wb") as file:
        file.truncate(2**30)
    for account in ("alice", "bob"):
        image_id = server.import_image(account, disk, "test")
        launch = [("ImageId", image_id), ("MinCount", "2"), ("MaxCount", "2")]
        launched = server.ask("RunInstances", launch, account=account).texts("instanceId")
        for action, parameters in [
            ("CreateKeyPair", {"KeyName": "word", "KeyType": "ed25519"}),
            ("CreateSecurityGroup", {"GroupName": "web", "GroupDescription": "d"}),
            ("CreateLaunchTemplate", {"LaunchTemplateName": "word", "LaunchTemplateData.ImageId": image_id}),
            ("CreatePlacementGroup", {"GroupName": "web", "Strategy": "partition"}),
            ("RequestSpotInstances", {"LaunchSpecification.ImageId": image_id}),
            ("CreateVolume", {"AvailabilityZone": "us-east-1a", "Size": "1"}),
            ("StopInstances", {"InstanceId.1": launched[1], "Force": "true"}),
            ("CreateImage", {"InstanceId": launched[1], "Name": "made"}),
            ("AttachImageWatermark", {"ImageId": image_id, "WatermarkName": "approved"}),
            ("CreateImageUsageReport", {"ImageId": image_id, "ResourceType.1.ResourceType": "ec2:Instance"}),
        ]:
            answer = server.ask(action, list(parameters.items()), account=account)
            assert answer.status == 200, answer
        _furnish_network(server, account, launched[0])


def _furnish_network(server: InProcess, account: str, instance_id: str) -> None:
    """Give an account a second interface in its instance, a free one, an Elastic IP each, a gateway, a prefix list."""
    described = server.ask("DescribeInstances", [("InstanceId.1", instance_id)], account=account)
    subnet = {"SubnetId": described.texts("subnetId")[0]}
    addresses = [server.ask("AllocateAddress", [], account=account).texts("allocationId")[0] for _ in range(3)]
    made = [server.ask("CreateNetworkInterface", list(subnet.items()), account=account) for _ in range(2)]
    assert [answer.status for answer in made] == [200, 200], made
    interfaces = [answer.texts("networkInterfaceId")[0] for answer in made]
    attached = {"NetworkInterfaceId": interfaces[0], "InstanceId": instance_id, "DeviceIndex": "1"}
    listed = {"PrefixListName": "word", "AddressFamily": "IPv4", "MaxEntries": "5", "Entry.1.Cidr": "10.1.0.0/16"}
    for action, parameters in [
        ("AttachNetworkInterface", attached),
        ("AssociateAddress", {"AllocationId": addresses[0], "NetworkInterfaceId": interfaces[0]}),
        ("AssociateAddress", {"AllocationId": addresses[1], "NetworkInterfaceId": interfaces[1]}),
        ("CreateNatGateway", {**subnet, "AllocationId": addresses[2]}),
        ("CreateManagedPrefixList", listed),
    ]:
        answer = server.ask(action, list(parameters.items()), account=account)
        assert answer.status == 200, answer
