"""The EBS direct APIs, asked as coldsnap asks, over fake volumes and over real layers."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.server import server
from tests.system.uploader import Uploader, block, linear

from bakehouse.bootstrap.drivers import Drivers, make_drivers
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.settings import Settings


def over_layers(home: Path, settings: Settings) -> Drivers:
    volumes = Qcow2VolumeStore(home / "volumes", live=NoLiveDisks(), owner=None)
    return replace(make_drivers(home, settings), volumes=volumes)


@pytest.fixture(params=[make_drivers, over_layers], ids=["fake", "qcow2"])
def alice(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Uploader]:
    with server(tmp_path / "home", drivers=request.param) as running:
        yield Uploader(running, "alice")


def test_the_way_of_coldsnap_up_and_down(alice: Uploader) -> None:
    """As coldsnap does it: 64 workers, no order, blocks tried again, blocks of zeros left out, one checksum of all.

    Source: coldsnap, upload.rs and download.rs.
    """
    disk = {index: block(index % 5) for index in random.Random(7).sample(range(2048), 150)}
    snapshot_id = alice.start(Timeout=10, Description="coldsnap")
    attempts = [*disk, *random.Random(8).sample(sorted(disk), 40)]
    random.Random(9).shuffle(attempts)

    with ThreadPoolExecutor(64) as workers:
        list(workers.map(lambda index: alice.put(snapshot_id, index, disk[index]), attempts))
    alice.complete(
        snapshot_id,
        len(disk),
        Checksum=linear(disk),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    listed = list(alice.listed(snapshot_id, MaxResults=10000).items())
    random.Random(10).shuffle(listed)
    with ThreadPoolExecutor(64) as workers:
        read = dict(workers.map(lambda it: (it[0], alice.get(snapshot_id, *it)), listed))

    assert read == disk


@pytest.mark.parametrize("drivers", [make_drivers, over_layers], ids=["fake", "qcow2"])
def test_an_upload_goes_on_with_the_next_server(tmp_path: Path, drivers: Callable[[Path, Settings], Drivers]) -> None:
    disk = {index: block(index) for index in range(8)}
    with server(tmp_path / "home", drivers=drivers) as running:
        before = Uploader(running, "alice")
        key = running.access_key("alice")
        snapshot_id = before.start(ClientToken="t")
        for index in range(4):
            before.put(snapshot_id, index, disk[index])

    with server(tmp_path / "home", drivers=drivers) as running:
        running._keys["alice"] = key
        after = Uploader(running, "alice")
        assert after.start(ClientToken="t") == snapshot_id
        for index in range(3, 8):
            after.put(snapshot_id, index, disk[index])
        after.complete(
            snapshot_id,
            len(disk),
            Checksum=linear(disk),
            ChecksumAlgorithm="SHA256",
            ChecksumAggregationMethod="LINEAR",
        )
        assert after.content(snapshot_id) == disk
