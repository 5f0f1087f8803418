"""Mappings laid over an image's, and what volume types allow."""

import pytest

from bakehouse.domain.block_device import BlockDeviceRequest, merged, performance, volume_size
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import BlockDevice

ROOT = BlockDevice(device_name="/dev/xvda", snapshot_id="snap-1", size_gib=8)


def test_a_request_for_another_device_adds_to_the_images() -> None:
    devices = merged([ROOT], [BlockDeviceRequest(device_name="/dev/sdf", size_gib=3)])

    assert [device.device_name for device in devices] == ["/dev/xvda", "/dev/sdf"]
    assert devices[0] == ROOT


def test_what_a_request_leaves_out_stays_as_the_image_has_it() -> None:
    (device,) = merged([ROOT], [BlockDeviceRequest(device_name="/dev/xvda", size_gib=20)])

    assert device == BlockDevice(device_name="/dev/xvda", snapshot_id="snap-1", size_gib=20)


def test_figures_of_another_type_do_not_carry_over() -> None:
    root = BlockDevice(device_name="/dev/xvda", snapshot_id="snap-1", volume_type="io1", iops=300)

    (device,) = merged([root], [BlockDeviceRequest(device_name="/dev/xvda", volume_type="gp3")])

    assert (device.volume_type, device.iops) == ("gp3", None)


def test_a_device_is_taken_away() -> None:
    assert merged([ROOT], [BlockDeviceRequest(device_name="/dev/xvda", no_device=True)]) == ()


def test_an_ephemeral_device_with_a_volume_beside_it_is_a_volume() -> None:
    request = BlockDeviceRequest(device_name="/dev/sdb", virtual_name="sdb", size_gib=5)

    (device,) = merged([], [request])

    assert (device.virtual_name, device.size_gib) == (None, 5)


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([BlockDeviceRequest(device_name="disk", size_gib=1)], "InvalidParameterValue"),
        ([BlockDeviceRequest(device_name="/dev/sdf", volume_type="gp3")], "MissingParameter"),
        ([BlockDeviceRequest(device_name="/dev/sdf", size_gib=1)] * 2, "InvalidBlockDeviceMapping"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(requests: list[BlockDeviceRequest], code: str) -> None:
    with pytest.raises(Ec2Error) as refusal:
        merged([ROOT], requests)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (("gp3", 8, None, None), (3000, 125)),
        (("gp3", 100, 4000, 1000), (4000, 1000)),
        (("gp2", 8, None, None), (100, None)),
        (("gp2", 1000, None, None), (3000, None)),
        (("io1", 10, 200, None), (200, None)),
        (("standard", 8, None, None), (None, None)),
    ],
)
def test_a_volume_shows_the_figures_of_its_type(
    given: tuple[str, int, int | None, int | None], shown: tuple[int | None, int | None]
) -> None:
    figures = performance(*given)

    assert (figures.iops, figures.throughput_mibps) == shown


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("gp9", 8, None, None), "InvalidParameterValue"),
        (("gp3", 0, None, None), "InvalidParameterValue"),
        (("st1", 8, None, None), "InvalidParameterValue"),
        (("gp2", 8, 3000, None), "InvalidParameterCombination"),
        (("gp2", 8, None, 125), "InvalidParameterCombination"),
        (("io1", 8, None, None), "MissingParameter"),
        (("io1", 4, 1000, None), "InvalidParameterCombination"),
        (("gp3", 8, 100, None), "InvalidParameterValue"),
        (("gp3", 8, None, 1000), "InvalidParameterCombination"),
    ],
)
def test_a_volume_that_its_type_does_not_allow_is_refused(
    given: tuple[str, int, int | None, int | None], code: str
) -> None:
    with pytest.raises(Ec2Error) as refusal:
        performance(*given)

    assert refusal.value.code == code


def test_a_volume_is_as_large_as_its_snapshot_unless_asked_to_be_larger() -> None:
    assert volume_size("/dev/xvda", None, "snap-1", 8) == 8
    assert volume_size("/dev/xvda", 9, "snap-1", 8) == 9


def test_a_volume_smaller_than_its_snapshot_is_refused() -> None:
    with pytest.raises(Ec2Error) as refusal:
        volume_size("/dev/xvda", 7, "snap-1", 8)

    assert refusal.value.code == "InvalidBlockDeviceMapping"
