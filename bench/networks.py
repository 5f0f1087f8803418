"""Server time with many instances in many VPCs: DescribeInstances with filters, and starting one instance more.

    uv run python bench/networks.py [--instances 200] [--vpcs 10] [--rounds 40]

Two servers run, each in a process of its own over faked drivers, without a socket: a signed request is handed to it as
Uvicorn would, and the clock stops when the answer's last byte is there. Both have the same VPCs, of a public and a
private subnet each, with a gateway, tables and an ACL of their own, all made through the API; one has no instances, the
other all of them, launched by twenties. "One more" is launched and terminated on both in turns, so that the host's mood
meets both; what is terminated is forgotten before the next, as after an hour. Printed for each question:
milliseconds, the median over the rounds, the worst, and the median of the processor's time, which a busy host does not
lengthen.
"""

import argparse
import asyncio
import logging
import re
import statistics
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
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

#: Nothing of this process is shared with a side.
PROCESSES: Final = get_context("spawn")

#: Milliseconds, and those of them that were the processor's.
Took = tuple[float, float]

#: The median, the worst, and the median of the processor's time.
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

    async def one_more(self, number: int) -> Took:
        """Launch one, and return how long that took; the number chooses its subnet."""
        before = {instance.id for instance in self._server.context.store.instances}
        how = self._launch(self.subnet_ids[number % len(self.subnet_ids)], 1)
        took = await self.asked.time_ms("RunInstances", how)
        (made,) = {instance.id for instance in self._server.context.store.instances} - before
        await self._forget(made)
        return took

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

    async def descriptions(self, rounds: int) -> dict[str, Figures]:
        """Ask every question so often."""
        asked = questions(self)
        # Nothing was rendered yet: as after the start of a server, or a change of every instance.
        took = {f"{words}, the first time": await self.describe(asked[words], 1) for words in (_OF_A_VPC, _BY_TAG)}
        return took | {words: await self.describe(parameters, rounds) for words, parameters in asked.items()}


def figures(took: list[Took]) -> Figures:
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


@asynccontextmanager
async def site_of(instances: int, vpcs: int) -> AsyncIterator[Site]:
    """Run a server with so many instances in so many VPCs."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        prepare_home(home)
        settings = Settings(simulate=True)
        async with running_server(home, settings, drivers=make_drivers(home, settings)) as server:
            key = await server.app.accounts.create("site")
            site = Site(server, key, await _image(server, key, Path(folder) / "disk.raw"))
            for number in range(vpcs):
                await site.add_vpc(number)
            for number in range(len(site.subnet_ids)):  # the first launch into a VPC makes its network
                await site.one_more(number)
            for number, subnet_id in enumerate(site.subnet_ids):
                share = instances // len(site.subnet_ids) + (number < instances % len(site.subnet_ids))
                if share:
                    await site.launch(subnet_id, share)
            yield site


def obey(orders: Connection, instances: int, vpcs: int) -> None:
    """Run a side: say None when it is ready, then answer orders until there is none.

    An order is a number, for one instance more, or the rounds of all descriptions as text.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    async def serve() -> None:
        async with site_of(instances, vpcs) as site:
            orders.send(None)
            while (order := await asyncio.to_thread(orders.recv)) is not None:
                orders.send(await (site.one_more(order) if isinstance(order, int) else site.descriptions(int(order))))

    asyncio.run(serve())


@contextmanager
def side(instances: int, vpcs: int) -> Iterator[Connection]:
    """Run a side in a process, and give what takes its orders."""
    orders, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=obey, args=(theirs, instances, vpcs), daemon=True)
    process.start()
    theirs.close()
    try:
        orders.recv()
        yield orders
    finally:
        with suppress(BrokenPipeError):
            orders.send(None)
        process.join()


def measured(instances: int, vpcs: int, rounds: int) -> dict[str, Figures]:
    """Return the figures of each question."""
    with side(0, vpcs) as empty, side(instances, vpcs) as full:
        took: dict[str, list[Took]] = {"one more, beside none": [], f"one more, beside {instances}": []}
        for number in range(rounds):
            for orders, found in zip((empty, full), took.values(), strict=True):
                orders.send(number)
                found.append(orders.recv())
        full.send(str(rounds))
        descriptions: dict[str, Figures] = full.recv()
    return {words: figures(found) for words, found in took.items()} | descriptions


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
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    results = measured(arguments.instances, arguments.vpcs, arguments.rounds)
    table = Table(f"{arguments.instances} instances in {arguments.vpcs} VPCs, ms", "median", "worst", "CPU, median")
    for words, row in results.items():
        table.add_row(words, *(f"{figure:.1f}" for figure in row))
    none, all_of_them = (row[0] for row in list(results.values())[:2])
    table.caption = f"one more beside {arguments.instances} / beside none: {all_of_them / none:.2f}"
    Console().print(table)


if __name__ == "__main__":
    main()
