"""Server time with many instances in many VPCs: DescribeInstances with filters, and starting one instance more.

    uv run python bench/networks.py [--instances 200] [--vpcs 10] [--rounds 20]

The server runs in this process over faked drivers, without a socket: a signed request is handed to it as Uvicorn would,
and the clock stops when the answer's last byte is there. The VPCs have a public and a private subnet each, with a
gateway, tables and an ACL of their own, all made through the API, and the instances are launched by twenties. Printed
for each question: milliseconds, the median over the rounds, the worst, and the median of the processor's time, which a
busy host does not lengthen. "One more" is launched and terminated so often before there is any other instance, and so
often when all of them run; what is terminated is forgotten before the next, as after an hour.
"""

import argparse
import asyncio
import logging
import re
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog
from images import Asked
from rich.console import Console
from rich.table import Table

from bakehouse.app.image_imports import ImportImage
from bakehouse.bootstrap.drivers import make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.server import Server, running_server
from bakehouse.domain.account import AccessKey
from bakehouse.domain.caller import Caller
from bakehouse.settings import Settings

REGION: Final = "us-east-1"
GIB: Final = 1024**3

_OF_A_VPC: Final = "running, of one VPC"
_BY_TAG: Final = "running, by tag"

Figures = tuple[float, float, float]


class Site:
    """An account with VPCs, and where its instances go."""

    def __init__(self, server: Server, key: AccessKey, image_id: str) -> None:
        """Ask with this key."""
        self._server = server
        self.asked = Asked(server, key)
        self.image_id = image_id
        self.subnet_ids: list[str] = []
        self.vpc_ids: list[str] = []

    async def made(self, action: str, **parameters: str) -> str:
        """Make something and return its id: the first in the answer."""
        answer = await self.asked.answer(action, parameters)
        found = re.search(r"<(?:\w+)Id>([a-z]+-[0-9a-f]{17})</", answer.partition("</requestId>")[2])
        return found[1] if found else ""

    async def add_vpc(self, number: int) -> None:
        """Make a VPC with a gateway, and a public and a private subnet with a table and an ACL each."""
        vpc_id = await self.made("CreateVpc", CidrBlock=f"10.{number}.0.0/16")
        gateway_id = await self.made("CreateInternetGateway")
        await self.made("AttachInternetGateway", InternetGatewayId=gateway_id, VpcId=vpc_id)
        for part in range(2):
            subnet_id = await self.made("CreateSubnet", VpcId=vpc_id, CidrBlock=f"10.{number}.{part}.0/24")
            table_id = await self.made("CreateRouteTable", VpcId=vpc_id)
            await self.made("AssociateRouteTable", RouteTableId=table_id, SubnetId=subnet_id)
            await self.made("CreateNetworkAcl", VpcId=vpc_id)
            if part == 0:
                outside = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway_id}
                await self.made("CreateRoute", RouteTableId=table_id, **outside)
                public = {"MapPublicIpOnLaunch.Value": "true"}
                await self.made("ModifySubnetAttribute", SubnetId=subnet_id, **public)
            self.subnet_ids.append(subnet_id)
        self.vpc_ids.append(vpc_id)

    async def launch(self, subnet_id: str, count: int) -> None:
        """Launch instances; they run when this returns."""
        tags = {"TagSpecification.1.ResourceType": "instance"}
        tags |= {"TagSpecification.1.Tag.1.Key": "tier", "TagSpecification.1.Tag.1.Value": "web"}
        await self.asked.answer("RunInstances", {**self._launch(subnet_id, count), **tags})

    def _launch(self, subnet_id: str, count: int) -> dict[str, str]:
        counts = {"MinCount": str(count), "MaxCount": str(count)}
        return {"ImageId": self.image_id, "SubnetId": subnet_id, **counts}

    async def one_more(self, rounds: int) -> Figures:
        """Launch one so often, and return how long the launches took."""
        took = []
        for number in range(rounds):
            before = {instance.id for instance in self._server.context.store.instances}
            how = self._launch(self.subnet_ids[number % len(self.subnet_ids)], 1)
            took.append(await self.asked.time_ms("RunInstances", how))
            (made,) = {instance.id for instance in self._server.context.store.instances} - before
            await self._forget(made)
        return figures(took)

    async def _forget(self, instance_id: str) -> None:
        parameters = {"InstanceId.1": instance_id, "Force": "true", "SkipOsShutdown": "true"}
        await self.asked.answer("TerminateInstances", parameters)
        store = self._server.context.store
        while len(store.sagas):  # noqa: ASYNC110 - nobody tells of the end of a termination
            await asyncio.sleep(0.001)
        async with store.transaction() as tx:
            tx.delete(store.instances[instance_id])

    async def describe(self, parameters: Mapping[str, str], rounds: int) -> Figures:
        """Ask for instances so often."""
        return figures([await self.asked.time_ms("DescribeInstances", parameters) for _ in range(rounds)])


def figures(took: list[tuple[float, float]]) -> Figures:
    """Return the median, the worst, and the median of the processor's time."""
    times, cpu_times = zip(*took, strict=True)
    return statistics.median(times), max(times), statistics.median(cpu_times)


def questions(site: Site) -> dict[str, dict[str, str]]:
    """Return what is asked for, by words of the table."""

    def filters(*wanted: tuple[str, str]) -> dict[str, str]:
        asked: dict[str, str] = {}
        for number, (name, value) in enumerate(wanted, 1):
            asked |= {f"Filter.{number}.Name": name, f"Filter.{number}.Value.1": value}
        return asked

    running = ("instance-state-name", "running")
    return {
        "all": {},
        _OF_A_VPC: filters(running, ("vpc-id", site.vpc_ids[0])),
        _BY_TAG: filters(running, ("tag:tier", "web")),
        "running, by tag, of a subnet": filters(running, ("tag:tier", "web"), ("subnet-id", site.subnet_ids[1])),
        "all that run, by tag and address": filters(running, ("tag:tier", "w*"), ("private-ip-address", "10.*")),
        "by group of an interface": filters(("network-interface.group-name", "default")),
    }


async def measured(instances: int, vpcs: int, rounds: int) -> dict[str, Figures]:
    """Return the figures of each question."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        prepare_home(home)
        settings = Settings(simulate=True)
        async with running_server(home, settings, drivers=make_drivers(home, settings)) as server:
            key = await server.app.accounts.create("site")
            site = Site(server, key, await _image(server, key, Path(folder) / "disk.raw"))
            for number in range(vpcs):
                await site.add_vpc(number)
            await site.one_more(len(site.subnet_ids))  # the first launch into a VPC makes its network
            took = {"one more, beside none": await site.one_more(rounds)}
            for number, subnet_id in enumerate(site.subnet_ids):
                share = instances // len(site.subnet_ids) + (number < instances % len(site.subnet_ids))
                await site.launch(subnet_id, share)
            took[f"one more, beside {instances}"] = await site.one_more(rounds)
            # Nothing was rendered yet: as after the start of a server, or a change of every instance.
            took["running, of one VPC, the first time"] = await site.describe(questions(site)[_OF_A_VPC], 1)
            took["running, by tag, the first time"] = await site.describe(questions(site)[_BY_TAG], 1)
            for words, parameters in questions(site).items():
                took[words] = await site.describe(parameters, rounds)
            return took


async def _image(server: Server, key: AccessKey, disk: Path) -> str:
    with disk.open("wb") as file:
        file.truncate(GIB)
    caller = Caller(account_id=key.account_id, region=REGION)
    order = ImportImage(path=disk, name="disk")
    return (await server.app.images.import_file(caller, order, progress=lambda _fraction: None)).id


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--vpcs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    results = asyncio.run(measured(arguments.instances, arguments.vpcs, arguments.rounds))
    table = Table(f"{arguments.instances} instances in {arguments.vpcs} VPCs, ms", "median", "worst", "CPU, median")
    for words, row in results.items():
        table.add_row(words, *(f"{figure:.1f}" for figure in row))
    Console().print(table)


if __name__ == "__main__":
    main()
