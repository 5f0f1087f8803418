"""The metadata service over real sockets; guests are addresses of the loopback network."""

import asyncio
import socket
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
import pytest
from botocore.utils import InstanceMetadataRegionFetcher
from tests.unit.imds.samples import NOW, VPC_ID, metadata

from bakehouse.domain.instance_metadata import InstanceMetadata
from bakehouse.domain.metadata_options import MetadataOptions
from bakehouse.imds.connection import CONNECTIONS_PER_GUEST_MAX, REQUEST_BYTES_MAX
from bakehouse.imds.service import MetadataService

WEB = "127.0.0.11"
STRICT = "127.0.0.12"
DISABLED = "127.0.0.13"
STRANGER = "127.0.0.99"
WEB_ID = "i-0000000000000000b"
STRICT_ID = "i-0000000000000000c"

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


def guests() -> dict[tuple[str, str], InstanceMetadata]:
    return {
        (VPC_ID, WEB): metadata(
            id=WEB_ID, private_ip=WEB, metadata_options=MetadataOptions(tokens_required=False, hop_limit=3)
        ),
        (VPC_ID, STRICT): metadata(id=STRICT_ID, private_ip=STRICT, metadata_options=MetadataOptions()),
        (VPC_ID, DISABLED): metadata(private_ip=DISABLED, metadata_options=MetadataOptions(endpoint_enabled=False)),
    }


@dataclass
class World:
    """A metadata service with its clock, and guests that ask it."""

    now: datetime = NOW
    guests: dict[tuple[str, str], InstanceMetadata] = field(default_factory=guests)
    address: tuple[str, int] = ("", 0)
    service: MetadataService = field(init=False)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self.service = MetadataService(
            lookup=lambda vpc_id, source: self.guests.get((vpc_id, source)), now=lambda: self.now, secret=b"secret"
        )

    async def serve(self, vpc_id: str = VPC_ID) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        address: tuple[str, int] = listener.getsockname()
        await self.service.open(vpc_id, listener)
        return address

    async def client(self, source: str) -> httpx.AsyncClient:
        return await self.stack.enter_async_context(
            httpx.AsyncClient(
                base_url="http://{}:{}".format(*self.address),
                transport=httpx.AsyncHTTPTransport(local_address=source),
                trust_env=False,
            )
        )

    async def ask(self, source: str, method: str, path: str, **headers: str) -> httpx.Response:
        client = await self.client(source)
        return await client.request(method, path, headers={key.replace("_", "-"): v for key, v in headers.items()})

    async def get(self, source: str, path: str, token: str | None = None) -> httpx.Response:
        client = await self.client(source)
        return await client.get(path, headers={} if token is None else {TOKEN: token})

    async def token(self, source: str, ttl_s: int = 60) -> str:
        client = await self.client(source)
        answer = await client.put("/latest/api/token", headers={TTL: str(ttl_s)})
        assert answer.status_code == 200
        return answer.text

    @asynccontextmanager
    async def raw(self, source: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(*self.address, local_addr=(source, 0))
        try:
            yield reader, writer
        finally:
            writer.close()

    def hop_limits(self) -> list[int]:
        return [
            connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
            for connection in self.service._segments[VPC_ID]._connections.connections
        ]


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection ends, in order or by a reset."""
    try:
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:
        return b""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.address = await world.serve()
    async with world.stack:
        yield world
    await world.service.close_all()


async def test_a_guest_reads_its_own_instance(world: World) -> None:
    assert (await world.get(WEB, "/latest/meta-data/instance-id")).text == WEB_ID


async def test_two_guests_of_one_segment_read_different_instances(world: World) -> None:
    token = await world.token(STRICT)
    web = await world.get(WEB, "/latest/meta-data/local-ipv4")
    strict = await world.get(STRICT, "/latest/meta-data/local-ipv4", token)

    assert (web.text, strict.text) == (WEB, STRICT)


async def test_the_same_address_in_another_vpc_is_another_guest(world: World) -> None:
    world.guests["vpc-2", WEB] = metadata(id="i-2", metadata_options=MetadataOptions(tokens_required=False))
    world.address = await world.serve("vpc-2")

    assert (await world.get(WEB, "/latest/meta-data/instance-id")).text == "i-2"


async def test_a_header_does_not_make_another_guest(world: World) -> None:
    answer = await world.ask(
        WEB, "GET", "/latest/meta-data/instance-id", X_Forwarded_For=DISABLED, Forwarded=f"for={DISABLED}"
    )

    assert answer.text == WEB_ID


async def test_an_unknown_source_finds_nothing(world: World) -> None:
    assert (await world.get(STRANGER, "/latest/meta-data/instance-id")).status_code == 404


async def test_a_disabled_endpoint_is_forbidden(world: World) -> None:
    assert (await world.get(DISABLED, "/latest/meta-data/instance-id")).status_code == 403


async def test_a_disabled_endpoint_gives_no_token(world: World) -> None:
    answer = await world.ask(DISABLED, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")

    assert answer.status_code == 403


async def test_without_a_token_an_instance_that_requires_one_is_unauthorized(world: World) -> None:
    assert (await world.get(STRICT, "/latest/meta-data/instance-id")).status_code == 401


async def test_with_a_token_it_answers(world: World) -> None:
    answer = await world.get(STRICT, "/latest/meta-data/instance-id", await world.token(STRICT))

    assert (answer.status_code, answer.text) == (200, STRICT_ID)


async def test_another_instances_token_is_unauthorized(world: World) -> None:
    answer = await world.get(STRICT, "/latest/meta-data/instance-id", await world.token(WEB))

    assert answer.status_code == 401


async def test_an_expired_token_is_unauthorized(world: World) -> None:
    token = await world.token(STRICT, ttl_s=5)
    world.now += timedelta(seconds=5)

    assert (await world.get(STRICT, "/latest/meta-data/instance-id", token)).status_code == 401


async def test_a_wrong_token_is_unauthorized_where_none_is_required(world: World) -> None:
    assert (await world.get(WEB, "/latest/meta-data/instance-id", "AQAEA==")).status_code == 401


async def test_a_token_tells_how_long_it_lives(world: World) -> None:
    token = await world.token(WEB, ttl_s=60)
    world.now += timedelta(seconds=20)

    assert (await world.get(WEB, "/latest/meta-data/instance-id", token)).headers[TTL] == "40"


async def test_a_token_request_is_answered_with_its_seconds(world: World) -> None:
    answer = await world.ask(WEB, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="21600")

    assert (answer.headers[TTL], len(urlsafe_b64decode(answer.text))) == ("21600", 48)


@pytest.mark.parametrize("seconds", ["0", "21601", "-1", "", "ten", "1.5", "1" * 5000, "\u0663"])
async def test_a_token_lives_from_a_second_to_six_hours(world: World, seconds: str) -> None:
    client = await world.client(WEB)
    answer = await client.put("/latest/api/token", headers={TTL.encode(): seconds.encode()})

    assert answer.status_code == 400


async def test_a_token_request_without_seconds_is_malformed(world: World) -> None:
    assert (await world.ask(WEB, "PUT", "/latest/api/token")).status_code == 400


async def test_a_token_request_through_a_proxy_is_forbidden(world: World) -> None:
    answer = await world.ask(
        WEB, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60", X_Forwarded_For="10.0.0.1"
    )

    assert answer.status_code == 403


async def test_a_token_request_at_a_dated_version_is_forbidden(world: World) -> None:
    answer = await world.ask(WEB, "PUT", "/2021-03-23/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/latest/meta-data/instance-id"),
        ("DELETE", "/latest/user-data"),
        ("OPTIONS", "/"),
        ("PUT", "/latest/meta-data/instance-id"),
        ("GET", "/latest/api/token"),
    ],
)
async def test_a_method_that_does_not_fit_is_not_allowed(world: World, method: str, path: str) -> None:
    assert (await world.ask(WEB, method, path)).status_code == 405


async def test_an_error_is_a_small_page(world: World) -> None:
    answer = await world.get(WEB, "/latest/meta-data/nothing")

    assert "<title>404 - Not Found</title>" in answer.text


async def test_head_answers_the_length_alone(world: World) -> None:
    answer = await world.ask(WEB, "HEAD", "/latest/meta-data/instance-id")

    assert (answer.headers["content-length"], answer.content) == (str(len(WEB_ID)), b"")


async def test_user_data_comes_as_its_bytes(world: World) -> None:
    world.guests[VPC_ID, WEB] = metadata(user_data=bytes(range(256)))

    assert (await world.get(WEB, "/latest/user-data")).content == bytes(range(256))


async def test_changed_records_show_at_once(world: World) -> None:
    client = await world.client(WEB)
    await client.get("/latest/meta-data/tags/instance/Name")
    world.guests[VPC_ID, WEB] = metadata(tags={"Name": "new"})

    assert (await client.get("/latest/meta-data/tags/instance/Name")).text == "new"


async def test_one_connection_carries_many_requests(world: World) -> None:
    client = await world.client(WEB)
    for _ in range(3):
        await client.get("/latest/meta-data/")

    assert len(world.hop_limits()) == 1


async def test_the_connection_that_asked_for_a_token_keeps_to_the_hop_limit(world: World) -> None:
    client = await world.client(WEB)
    await client.put("/latest/api/token", headers={TTL: "60"})

    assert world.hop_limits() == [3]


async def test_the_hop_limit_stays_while_the_connection_lives(world: World) -> None:
    client = await world.client(WEB)
    await client.put("/latest/api/token", headers={TTL: "60"})
    await client.get("/latest/meta-data/")

    assert world.hop_limits() == [3]


async def test_a_connection_without_token_goes_as_far_as_any(world: World) -> None:
    client = await world.client(WEB)
    await client.get("/latest/meta-data/")

    with socket.socket() as fresh:
        assert world.hop_limits() == [fresh.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)]


async def test_a_client_of_http_1_0_is_answered_and_the_connection_closed(world: World) -> None:
    async with world.raw(WEB) as (reader, writer):
        writer.write(b"GET /latest/meta-data/instance-id HTTP/1.0\r\n\r\n")
        answer = await all_of(reader)

    assert answer.endswith(b"\r\n\r\n" + WEB_ID.encode())


async def test_a_client_that_closes_its_half_after_asking_is_answered(world: World) -> None:
    async with world.raw(WEB) as (reader, writer):
        writer.write(b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
        writer.write_eof()
        answer = await all_of(reader)

    assert answer.endswith(b"\r\n\r\n" + WEB_ID.encode())


async def test_what_is_no_http_is_refused(world: World) -> None:
    async with world.raw(WEB) as (reader, writer):
        writer.write(b"hello\r\n\r\n")
        answer = await all_of(reader)

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_request_that_does_not_end_is_dropped(world: World) -> None:
    async with world.raw(WEB) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * REQUEST_BYTES_MAX)

        assert await all_of(reader) == b""


async def test_a_guest_with_too_many_connections_loses_the_last(world: World) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS_PER_GUEST_MAX + 1):
            reader, _ = await stack.enter_async_context(world.raw(STRICT))

        assert await all_of(reader) == b""


async def test_a_guest_with_too_many_connections_leaves_others_alone(world: World) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS_PER_GUEST_MAX + 1):
            await stack.enter_async_context(world.raw(STRICT))

        assert (await world.get(WEB, "/latest/meta-data/instance-id")).status_code == 200


async def test_a_closed_connection_gives_its_share_back(world: World) -> None:
    for _ in range(CONNECTIONS_PER_GUEST_MAX + 1):
        async with world.raw(WEB) as (reader, writer):
            writer.write(b"GET /latest/meta-data/instance-id HTTP/1.0\r\n\r\n")
            assert await all_of(reader)


async def test_a_token_is_good_after_the_service_was_started_anew(world: World) -> None:
    token = await world.token(STRICT)
    await world.service.close_all()
    restarted = World()
    restarted.address = await restarted.serve()

    async with restarted.stack:
        answer = await restarted.get(STRICT, "/latest/meta-data/instance-id", token)
    await restarted.service.close_all()

    assert answer.status_code == 200


async def test_a_second_open_leaves_the_first_socket_serving(world: World) -> None:
    second = socket.create_server(("127.0.0.1", 0))
    await world.service.open(VPC_ID, second)

    assert (second.fileno(), (await world.get(WEB, "/")).status_code) == (-1, 200)


async def test_a_closed_segment_refuses_connections(world: World) -> None:
    await world.service.close(VPC_ID)

    with pytest.raises(httpx.ConnectError):
        await world.get(WEB, "/")


async def test_closing_a_segment_ends_its_idle_connections(world: World) -> None:
    async with world.raw(WEB) as (reader, _):
        await world.get(WEB, "/")
        await world.service.close(VPC_ID)

        assert await all_of(reader) == b""


async def test_closing_what_is_not_open_does_nothing(world: World) -> None:
    await world.service.close("vpc-unknown")


async def test_a_failing_look_up_is_a_server_error(world: World) -> None:
    world.service._lookup = lambda _vpc_id, _source: world.guests["none", "none"]

    assert (await world.get(WEB, "/")).status_code == 500


async def test_botocore_finds_the_region(world: World) -> None:
    world.guests[VPC_ID, "127.0.0.1"] = metadata(metadata_options=MetadataOptions(tokens_required=True))
    fetcher = InstanceMetadataRegionFetcher(base_url="http://{}:{}/".format(*world.address), timeout=30)

    assert await asyncio.to_thread(fetcher.retrieve_region) == "eu-central-1"
