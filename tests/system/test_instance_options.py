"""How instances are, chosen at launch and later: processors, credits, names, maintenance, monitoring."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.drivers.hypervisor.fake.driver import FakeHypervisor
from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric

MISSING = "i-00000000000000000"


def spec_of(shop: Shop, instance_id: str) -> Any:
    """Return what the machine was started from."""
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    return hypervisor.spec(instance_id)


def interface_of(shop: Shop, instance: Any) -> Any:
    """Return what the network was told of an instance's interface."""
    network = shop.running.drivers.network
    assert isinstance(network, FakeNetworkFabric)
    return network.interfaces[instance["NetworkInterfaces"][0]["NetworkInterfaceId"]]


def test_a_machine_has_the_cores_and_threads_of_its_type(shop: Shop) -> None:
    instance = shop.launch(InstanceType="c5.xlarge")

    spec = spec_of(shop, instance["InstanceId"])
    assert (spec.vcpus, spec.threads_per_core) == (4, 2)
    assert instance["CpuOptions"] == {"CoreCount": 2, "ThreadsPerCore": 2}


def test_a_machine_has_the_cores_and_threads_that_its_launch_asks_for(shop: Shop) -> None:
    instance = shop.launch(InstanceType="c5.xlarge", CpuOptions={"CoreCount": 2, "ThreadsPerCore": 1})

    spec = spec_of(shop, instance["InstanceId"])
    assert (spec.vcpus, spec.threads_per_core) == (2, 1)
    assert instance["CpuOptions"] == {"CoreCount": 2, "ThreadsPerCore": 1}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"CoreCount": 2}, "MissingParameter"),
        ({"ThreadsPerCore": 2}, "MissingParameter"),
        ({"CoreCount": 3, "ThreadsPerCore": 2}, "InvalidParameterValue"),
        ({"CoreCount": 2, "ThreadsPerCore": 4}, "InvalidParameterValue"),
    ],
)
def test_cores_that_a_type_has_not_are_refused(shop: Shop, options: Any, code: str) -> None:
    with refused(code):
        shop.launch_ids(MinCount=1, MaxCount=1, InstanceType="c5.xlarge", CpuOptions=options)


def test_the_processors_of_a_stopped_instance_change_with_its_next_start(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="c5.xlarge")["InstanceId"]
    shop.stop(instance_id)

    answer = shop.ec2.modify_instance_cpu_options(InstanceId=instance_id, CoreCount=2, ThreadsPerCore=1)

    assert (answer["CoreCount"], answer["ThreadsPerCore"]) == (2, 1)
    shop.ec2.start_instances(InstanceIds=[instance_id])
    assert spec_of(shop, instance_id).vcpus == 2


def test_the_processors_of_a_running_instance_stay(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="c5.xlarge")["InstanceId"]

    with refused("IncorrectInstanceState"):
        shop.ec2.modify_instance_cpu_options(InstanceId=instance_id, CoreCount=1, ThreadsPerCore=1)


def test_processor_options_without_any_are_refused(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="c5.xlarge")["InstanceId"]
    shop.stop(instance_id)

    with refused("MissingParameter"):
        shop.ec2.modify_instance_cpu_options(InstanceId=instance_id)


def test_another_type_begins_with_its_own_processors(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="c5.xlarge", CpuOptions={"CoreCount": 2, "ThreadsPerCore": 1})["InstanceId"]
    shop.stop(instance_id)

    shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "c5.2xlarge"})

    assert shop.describe(instance_id)["CpuOptions"] == {"CoreCount": 4, "ThreadsPerCore": 2}


@pytest.mark.parametrize(
    ("instance_type", "asked", "has"),
    [
        ("t2.micro", None, "standard"),
        ("t3.micro", None, "unlimited"),
        ("t3.micro", "standard", "standard"),
        ("t2.micro", "unlimited", "unlimited"),
    ],
)
def test_a_burstable_instance_has_a_credit_option(shop: Shop, instance_type: str, asked: str | None, has: str) -> None:
    members = {} if asked is None else {"CreditSpecification": {"CpuCredits": asked}}
    instance_id = shop.launch(InstanceType=instance_type, **members)["InstanceId"]

    answer = shop.ec2.describe_instance_credit_specifications(InstanceIds=[instance_id])

    assert answer["InstanceCreditSpecifications"] == [{"InstanceId": instance_id, "CpuCredits": has}]


def test_instances_with_unlimited_credits_are_listed_when_none_is_named(shop: Shop) -> None:
    shop.launch(InstanceType="t2.micro")
    unlimited = shop.launch(InstanceType="t3.micro")["InstanceId"]
    shop.launch(InstanceType="m5.large")

    answer = shop.ec2.describe_instance_credit_specifications()

    assert [it["InstanceId"] for it in answer["InstanceCreditSpecifications"]] == [unlimited]


def test_credit_options_are_found_by_instance(shop: Shop) -> None:
    first, second = shop.launch_ids(MinCount=2, MaxCount=2, InstanceType="t3.micro")
    wanted: Any = [{"Name": "instance-id", "Values": [second]}]

    answer = shop.ec2.describe_instance_credit_specifications(InstanceIds=[first, second], Filters=wanted)

    assert [it["InstanceId"] for it in answer["InstanceCreditSpecifications"]] == [second]


def test_credit_options_change_one_by_one(shop: Shop) -> None:
    burstable = shop.launch(InstanceType="t3.micro")["InstanceId"]
    steady = shop.launch(InstanceType="m5.large")["InstanceId"]
    wanted = [{"InstanceId": it, "CpuCredits": "standard"} for it in (burstable, steady, MISSING)]

    answer = shop.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=wanted)  # type: ignore[arg-type]

    assert [it["InstanceId"] for it in answer["SuccessfulInstanceCreditSpecifications"]] == [burstable]
    assert {it["InstanceId"]: it["Error"]["Code"] for it in answer["UnsuccessfulInstanceCreditSpecifications"]} == {
        steady: "InstanceCreditSpecification.NotSupported",
        MISSING: "InvalidInstanceID.NotFound",
    }


def test_a_credit_option_that_there_is_not_is_refused(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="t3.micro")["InstanceId"]
    wanted: Any = [{"InstanceId": instance_id, "CpuCredits": "endless"}]

    with refused("InvalidParameterValue"):
        shop.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=wanted)


def test_credits_of_a_type_without_are_refused_at_launch(shop: Shop) -> None:
    with refused("InstanceCreditSpecification.NotSupported"):
        shop.launch_ids(MinCount=1, MaxCount=1, InstanceType="m5.large", CreditSpecification={"CpuCredits": "standard"})


def test_a_client_token_of_a_credit_change_answers_again_what_was_changed(shop: Shop) -> None:
    instance_id = shop.launch(InstanceType="t3.micro")["InstanceId"]
    wanted: Any = [{"InstanceId": instance_id, "CpuCredits": "standard"}]

    answers = [
        shop.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=wanted, ClientToken="once")
        for _ in range(2)
    ]

    first, second = (answer["SuccessfulInstanceCreditSpecifications"] for answer in answers)
    assert first == second


def test_maintenance_options_at_launch_and_later_are_shown(shop: Shop) -> None:
    instance = shop.launch(MaintenanceOptions={"AutoRecovery": "disabled"})
    assert instance["MaintenanceOptions"] == {"AutoRecovery": "disabled", "RebootMigration": "default"}

    answer = shop.ec2.modify_instance_maintenance_options(InstanceId=instance["InstanceId"], RebootMigration="disabled")

    assert (answer["AutoRecovery"], answer["RebootMigration"]) == ("disabled", "disabled")
    assert shop.found(("maintenance-options.auto-recovery", "disabled")) == [instance["InstanceId"]]


def test_monitoring_is_written_down(shop: Shop) -> None:
    instance_id = shop.launch(Monitoring={"Enabled": True})["InstanceId"]
    assert shop.describe(instance_id)["Monitoring"] == {"State": "enabled"}

    ended = shop.ec2.unmonitor_instances(InstanceIds=[instance_id])["InstanceMonitorings"]
    shown = shop.found(("monitoring-state", "disabled"))
    begun = shop.ec2.monitor_instances(InstanceIds=[instance_id])["InstanceMonitorings"]
    again = shop.ec2.monitor_instances(InstanceIds=[instance_id])["InstanceMonitorings"]

    assert [it[0]["Monitoring"]["State"] for it in (ended, begun, again)] == ["disabling", "pending", "enabled"]
    assert shown == [instance_id]


def test_a_guest_is_called_by_its_address_unless_its_launch_says_otherwise(shop: Shop) -> None:
    instance = shop.launch()

    ip_name = "ip-" + instance["PrivateIpAddress"].replace(".", "-")
    assert instance["PrivateDnsName"] == f"{ip_name}.ec2.internal"
    assert interface_of(shop, instance).host_name == ip_name


def test_a_guest_may_be_called_by_its_id(shop: Shop) -> None:
    options: Any = {"HostnameType": "resource-name", "EnableResourceNameDnsARecord": True}
    instance = shop.launch(PrivateDnsNameOptions=options)

    instance_id = instance["InstanceId"]
    assert instance["PrivateDnsName"] == f"{instance_id}.ec2.internal"
    assert instance["PrivateDnsNameOptions"] == {**options, "EnableResourceNameDnsAAAARecord": False}
    assert interface_of(shop, instance).host_name == instance_id
    assert shop.found(("private-dns-name", f"{instance_id}.ec2.internal")) == [instance_id]


def test_the_id_of_a_running_guest_resolves_as_soon_as_that_is_asked_for(shop: Shop) -> None:
    instance = shop.launch()

    shop.ec2.modify_private_dns_name_options(InstanceId=instance["InstanceId"], EnableResourceNameDnsARecord=True)

    assert instance["InstanceId"] in interface_of(shop, instance).names


def test_the_host_name_of_a_running_guest_stays(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    with refused("IncorrectInstanceState"):
        shop.ec2.modify_private_dns_name_options(InstanceId=instance_id, PrivateDnsHostnameType="resource-name")


@pytest.mark.parametrize("attribute", ["kernel", "ramdisk", "sourceDestCheck"])
def test_an_attribute_that_is_as_it_was_can_be_reset(shop: Shop, attribute: Any) -> None:
    shop.ec2.reset_instance_attribute(InstanceId=shop.launch()["InstanceId"], Attribute=attribute)


def test_the_check_of_source_and_destination_is_reset(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.ec2.modify_instance_attribute(InstanceId=instance_id, SourceDestCheck={"Value": False})

    shop.ec2.reset_instance_attribute(InstanceId=instance_id, Attribute="sourceDestCheck")

    assert shop.attribute(instance_id, "sourceDestCheck") == {"Value": True}


def test_other_attributes_cannot_be_reset(shop: Shop) -> None:
    with refused("InvalidParameterValue"):
        shop.ec2.reset_instance_attribute(InstanceId=shop.launch()["InstanceId"], Attribute="userData")


def test_the_options_of_another_accounts_instance_stay(shop: Shop, shared: RunningServer) -> None:
    instance_id = shop.launch()["InstanceId"]
    stranger = shared.ec2("stranger who wants options")

    changes: list[Callable[[], Any]] = [
        lambda: stranger.modify_instance_metadata_options(InstanceId=instance_id, HttpEndpoint="disabled"),
        lambda: stranger.modify_instance_cpu_options(InstanceId=instance_id, CoreCount=1, ThreadsPerCore=1),
        lambda: stranger.modify_instance_maintenance_options(InstanceId=instance_id, AutoRecovery="disabled"),
        lambda: stranger.modify_private_dns_name_options(InstanceId=instance_id, EnableResourceNameDnsARecord=True),
        lambda: stranger.monitor_instances(InstanceIds=[instance_id]),
        lambda: stranger.reset_instance_attribute(InstanceId=instance_id, Attribute="kernel"),
        lambda: stranger.describe_instance_credit_specifications(InstanceIds=[instance_id]),
    ]
    for change in changes:
        with refused("InvalidInstanceID.NotFound"):
            change()


def test_credit_options_of_a_request_that_is_refused_stay(shop: Shop) -> None:
    """One whose second option there is not, and one that names an instance twice."""
    first, second = (shop.launch(InstanceType="t3.nano")["InstanceId"] for _ in range(2))
    wanted: Any = [
        {"InstanceId": first, "CpuCredits": "standard"},
        {"InstanceId": second, "CpuCredits": "endless"},
        {"InstanceId": first, "CpuCredits": "unlimited"},
    ]

    with refused("InvalidParameterValue"):
        shop.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=wanted[:2])
    with refused("InvalidInstanceCreditSpecification.DuplicateInstanceId"):
        shop.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[wanted[0], wanted[2]])

    shown = shop.ec2.describe_instance_credit_specifications(InstanceIds=[first])["InstanceCreditSpecifications"]
    assert [it["CpuCredits"] for it in shown] == ["unlimited"]


def test_an_instance_that_has_ended_is_not_monitored(shop: Shop) -> None:
    ended, running = (shop.launch()["InstanceId"] for _ in range(2))
    shop.ec2.terminate_instances(InstanceIds=[ended])

    with refused("InvalidState"):
        shop.ec2.monitor_instances(InstanceIds=[running, ended])

    assert shop.describe(running)["Monitoring"] == {"State": "disabled"}


def test_a_type_that_there_is_not_is_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.stop(instance_id)

    with refused("InvalidInstanceAttributeValue"):
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t99.huge"})
