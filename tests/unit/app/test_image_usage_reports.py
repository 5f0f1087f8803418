"""Image usage reports live for 30 days."""

import pytest
from tests.world import World

from bakehouse.app.image_usage_reports import ReportRequest
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image_usage_report import reported_type


async def report(world: World) -> str:
    image = await world.image()
    request = ReportRequest(image_id=image.id, resource_types=(reported_type("ec2:Instance", ()),))
    return (await world.app.image_usage_reports.create(world.caller, request)).id


async def test_a_report_is_there_until_its_last_day_is_over(world: World) -> None:
    report_id = await report(world)

    world.clock.advance(days=29, hours=23)
    found = world.app.image_usage_reports.describe(world.caller)
    world.clock.advance(hours=1)

    assert [it.id for it in found] == [report_id]
    assert world.app.image_usage_reports.describe(world.caller) == []


async def test_an_expired_report_is_not_found(world: World) -> None:
    report_id = await report(world)
    world.clock.advance(days=30)

    with pytest.raises(Ec2Error) as refusal:
        world.app.image_usage_reports.describe(world.caller, [report_id])

    assert refusal.value.code == "InvalidImageUsageReportId.NotFound"


async def test_a_sweep_removes_what_has_expired_and_nothing_else(world: World) -> None:
    await report(world)
    world.clock.advance(days=20)
    young = await report(world)
    world.clock.advance(days=10)

    await world.app.image_usage_reports.forget_expired()

    assert [it.id for it in world.store.image_usage_reports] == [young]
