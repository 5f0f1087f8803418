"""Server time of DescribeImages and DescribeSnapshots with many images: filters, pages, and a list that has changed.

    uv run python bench/images.py [--sizes 100 1000 10000] [--rounds 20]

The server runs in this process over faked drivers, without a socket: a signed request is handed to it as Uvicorn would,
and the clock stops when the answer's last byte is there. So the figures are what a request costs the server, with its
signature verified, its parameters checked, and its answer rendered. The images are put straight into the store: half
of them the caller's, half a stranger's that are public. Printed for each question: milliseconds, the median over the
rounds, the worst, and the median of the processor's time, which a busy host does not lengthen. `changed` asks after one
image has changed, so that no list made earlier is good any more.
"""

import argparse
import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from rich.console import Console
from rich.table import Table

from bakehouse.bootstrap.drivers import make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.server import Server, running_server
from bakehouse.domain.account import AccessKey
from bakehouse.domain.allowed_images import AllowedImagesState, ImageCriterion
from bakehouse.domain.caller import Caller
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState
from bakehouse.domain.snapshot import NO_VOLUME, Snapshot, SnapshotState
from bakehouse.settings import Settings

REGION: Final = "us-east-1"
URL: Final = "http://127.0.0.1:8773/"

#: What is asked: the words of the table, the action, its parameters, and whether an image changes before each time.
_THREE: Final = {
    "Filter.1.Name": "name",
    "Filter.1.Value.1": "web-*-7",
    "Filter.2.Name": "tag:stage",
    "Filter.2.Value.1": "live",
    "Filter.3.Name": "architecture",
    "Filter.3.Value.1": "x86_64",
}
_QUESTIONS: Final[tuple[tuple[str, str, Mapping[str, str], bool], ...]] = (
    ("three filters", "DescribeImages", _THREE, False),
    ("three filters, changed", "DescribeImages", _THREE, True),
    ("three filters, page of 20", "DescribeImages", {**_THREE, "MaxResults": "20"}, False),
    (
        "three filters that all match, page of 100, changed",
        "DescribeImages",
        {
            "Filter.1.Name": "state",
            "Filter.1.Value.1": "available",
            "Filter.2.Name": "root-device-type",
            "Filter.2.Value.1": "ebs",
            "Filter.3.Name": "block-device-mapping.volume-size",
            "Filter.3.Value.1": "8",
            "MaxResults": "100",
        },
        True,
    ),
    (
        "three patterns that all match, page of 1000, changed",
        "DescribeImages",
        {
            "Filter.1.Name": "name",
            "Filter.1.Value.1": "web-*-*",
            "Filter.2.Name": "description",
            "Filter.2.Value.1": "*e*",
            "Filter.3.Name": "creation-date",
            "Filter.3.Value.1": "202*",
            "MaxResults": "1000",
        },
        True,
    ),
    ("own images, page of 100", "DescribeImages", {"Owner.1": "self", "MaxResults": "100"}, False),
    ("page of 1000", "DescribeImages", {"MaxResults": "1000"}, False),
    (
        "snapshots, three filters",
        "DescribeSnapshots",
        {
            "Filter.1.Name": "description",
            "Filter.1.Value.1": "*-77",
            "Filter.2.Name": "status",
            "Filter.2.Value.1": "completed",
            "Filter.3.Name": "volume-size",
            "Filter.3.Value.1": "8",
        },
        False,
    ),
)

_LIMITED: Final = "three filters, Allowed AMIs with ten criteria"


class Asked:
    """A server and an account that asks it."""

    def __init__(self, server: Server, key: AccessKey) -> None:
        """Sign with this key."""
        self._server = server
        self._key = key

    async def time_ms(self, action: str, parameters: Mapping[str, str]) -> tuple[float, float]:
        """Return how long an answer took, and how much of that this thread had the processor."""
        _, took_ms, cpu_ms = await self._ask(action, parameters)
        return took_ms, cpu_ms

    async def answer(self, action: str, parameters: Mapping[str, str]) -> str:
        """Return an answer's text."""
        return (await self._ask(action, parameters))[0]

    async def _ask(self, action: str, parameters: Mapping[str, str]) -> tuple[str, float, float]:
        scope, body = self._signed(action, parameters)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:  # noqa: ANN401 - an ASGI message
            sent.append(message)

        begun, cpu_begun = time.perf_counter(), time.thread_time()
        await self._server.endpoint(scope, receive, send)
        took, cpu = time.perf_counter() - begun, time.thread_time() - cpu_begun
        if sent[0]["status"] != 200:
            raise RuntimeError(sent[1]["body"].decode())
        return sent[1]["body"].decode(), took * 1000, cpu * 1000

    def _signed(self, action: str, parameters: Mapping[str, str]) -> tuple[dict[str, Any], bytes]:
        body = urlencode({"Action": action, "Version": "2016-11-15", **parameters}).encode()
        request = AWSRequest("POST", URL, headers={"Content-Type": "application/x-www-form-urlencoded"}, data=body)
        SigV4Auth(Credentials(self._key.id, self._key.secret), "ec2", REGION).add_auth(request)
        headers = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
        headers.append((b"host", b"127.0.0.1:8773"))
        scope = {"type": "http", "method": "POST", "raw_path": b"/", "query_string": b"", "headers": headers}
        return scope, body


async def fill(server: Server, accounts: tuple[str, str], count: int) -> list[Image]:
    """Put so many images, with a snapshot each, straight into the store; every second is the stranger's and public."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    images = []
    async with server.context.store.transaction() as tx:
        for number in range(count):
            account_id = accounts[number % 2]
            made = began + timedelta(minutes=number)
            snapshot = Snapshot(
                id=new_id("snapshot"),
                account_id=account_id,
                region=REGION,
                volume_id=NO_VOLUME,
                volume_size_gib=8,
                description=f"of web-{number}",
                state=SnapshotState.COMPLETED,
                started_at=made,
                completed_at=made,
                create_volume_accounts=("all",) if number % 2 else (),
            )
            image = Image(
                id=new_id("image"),
                account_id=account_id,
                region=REGION,
                name=f"web-{number // 10}-{number % 10}",
                description="a web server",
                state=ImageState.AVAILABLE,
                architecture="x86_64",
                root_device_name="/dev/xvda",
                block_devices=(BlockDevice(device_name="/dev/xvda", snapshot_id=snapshot.id, size_gib=8),),
                created_at=made,
                launch_accounts=("all",) if number % 2 else (),
                tags={"stage": "live" if number % 100 < 50 else "test", "number": str(number)},
            )
            tx.put(snapshot)
            tx.put(image)
            images.append(image)
    return images


async def measured(size: int, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Return for each question the median, the worst, and the median of the processor's time, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        prepare_home(home)
        settings = Settings(simulate=True)
        async with running_server(home, settings, drivers=make_drivers(home, settings)) as server:
            caller, stranger = await server.app.accounts.create("caller"), await server.app.accounts.create("stranger")
            images = await fill(server, (caller.account_id, stranger.account_id), size)
            asked = Asked(server, caller)
            took = {
                words: await _rounds(server, asked, images[0], action, parameters, rounds if not changes else -rounds)
                for words, action, parameters, changes in _QUESTIONS
            }
            await limit(server, caller.account_id)
            took[_LIMITED] = await _rounds(server, asked, images[0], "DescribeImages", _THREE, rounds)
            return took


async def limit(server: Server, account_id: str) -> None:
    """Enable Allowed AMIs with criteria of which the last one takes the stranger's images."""
    caller = Caller(account_id=account_id, region=REGION)
    names = [ImageCriterion(names=(f"nothing-{number}-*",)) for number in range(9)]
    settings = server.app.allowed_images
    await settings.replace_criteria(caller, [*names, ImageCriterion(names=("web-*",))])
    await settings.set_state(caller, AllowedImagesState.ENABLED)


async def _rounds(
    server: Server, asked: Asked, image: Image, action: str, parameters: Mapping[str, str], rounds: int
) -> tuple[float, float, float]:
    """Ask so often; a negative number: with a change of an image before each time."""
    took = []
    for number in range(abs(rounds)):
        if rounds < 0:
            async with server.context.store.transaction() as tx:
                tx.put(replace(image, description=f"changed {number}"))
        took.append(await asked.time_ms(action, parameters))
    times, cpu_times = zip(*took, strict=True)
    return statistics.median(times), max(times), statistics.median(cpu_times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    results = {size: asyncio.run(measured(size, arguments.rounds)) for size in arguments.sizes}
    table = Table("median / worst / CPU, ms", *(f"{size:,} images" for size in arguments.sizes))
    for words in (*(words for words, *_ in _QUESTIONS), _LIMITED):
        table.add_row(words, *(" / ".join(f"{figure:.1f}" for figure in results[size][words]) for size in results))
    Console().print(table)


if __name__ == "__main__":
    main()
