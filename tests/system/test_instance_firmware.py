"""What instances keep beside their volumes, as boto3 sees it: keys of platform modules, UEFI variables."""

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop, refusal

from bakehouse.drivers.hypervisor.fake import FakeHypervisor

#: A store without variables.
UEFI_DATA = "QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB"


def registered(shop: Shop, **members: Any) -> str:
    """Register an image of the shop's snapshot that boots by UEFI and return its id."""
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    device = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]}}
    wanted: dict[str, Any] = {
        "Name": "registered",
        "Architecture": "x86_64",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [device],
        "BootMode": "uefi",
        **members,
    }
    return shop.ec2.register_image(**wanted)["ImageId"]


def launched(shop: Shop, **members: Any) -> str:
    """Launch an instance with a platform module and return its id."""
    instance = shop.launch(ImageId=registered(shop, TpmSupport="v2.0"), InstanceType="t3.micro", **members)
    return str(instance["InstanceId"])


def key(shop: Shop, instance_id: str, kind: str = "rsa-2048", form: str = "der") -> bytes:
    wanted: Any = {"KeyType": kind, "KeyFormat": form}
    answer = shop.ec2.get_instance_tpm_ek_pub(InstanceId=instance_id, **wanted)
    assert (answer["InstanceId"], answer["KeyType"], answer["KeyFormat"]) == (instance_id, kind, form)
    return b64decode(answer["KeyValue"])


def test_an_instance_of_an_image_with_a_platform_module_has_one(shop: Shop) -> None:
    instance_id = launched(shop)

    assert shop.describe(instance_id)["TpmSupport"] == "v2.0"
    assert shop.found(("tpm-support", "v2.0")) == [instance_id]


def test_an_instance_of_another_image_has_none(shop: Shop) -> None:
    instance = shop.launch()

    assert "TpmSupport" not in instance
    assert shop.found(("tpm-support", "v2.0")) == []


def test_an_arm_instance_has_a_platform_module_too(shop: Shop) -> None:
    image_id = registered(shop, TpmSupport="v2.0", Architecture="arm64")

    assert shop.launch(ImageId=image_id, InstanceType="t4g.micro")["TpmSupport"] == "v2.0"


def test_an_rsa_endorsement_key_is_told_as_openssl_reads_it(shop: Shop) -> None:
    found = load_der_public_key(key(shop, launched(shop)))

    assert isinstance(found, rsa.RSAPublicKey)
    assert found.key_size == 2048


def test_an_ecc_endorsement_key_is_told_as_openssl_reads_it(shop: Shop) -> None:
    found = load_der_public_key(key(shop, launched(shop), "ecc-sec-p384"))

    assert isinstance(found, ec.EllipticCurvePublicKey)
    assert found.curve.name == "secp384r1"


@pytest.mark.parametrize(("kind", "begin"), [("rsa-2048", "0001000b000300b2"), ("ecc-sec-p384", "0023000c000300f2")])
def test_an_endorsement_key_is_told_as_a_module_writes_it(shop: Shop, kind: str, begin: str) -> None:
    assert key(shop, launched(shop), kind, "tpmt").startswith(bytes.fromhex(begin))


def test_the_endorsement_key_is_the_same_when_the_instance_has_stopped(shop: Shop) -> None:
    instance_id = launched(shop)
    before = key(shop, instance_id)

    shop.stop(instance_id)

    assert key(shop, instance_id) == before


def test_the_endorsement_key_of_an_instance_without_a_module_is_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    with refused("UnsupportedOperation"):
        key(shop, instance_id)


def test_the_endorsement_key_of_a_terminated_instance_is_gone(shop: Shop) -> None:
    instance_id = launched(shop)
    shop.ec2.terminate_instances(InstanceIds=[instance_id], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    with refused("IncorrectInstanceState"):
        key(shop, instance_id)


@pytest.mark.parametrize("members", [{"KeyType": "rsa-4096"}, {"KeyFormat": "pem"}])
def test_a_key_of_another_kind_is_refused(shop: Shop, members: Any) -> None:
    wanted: Any = {"KeyType": "rsa-2048", "KeyFormat": "der", **members}

    with refused("InvalidParameterValue"):
        shop.ec2.get_instance_tpm_ek_pub(InstanceId=launched(shop), **wanted)


def test_an_instance_that_is_not_there_has_no_key(shop: Shop) -> None:
    with refused("InvalidInstanceID.NotFound"):
        key(shop, "i-00000000000000000")
    with refused("InvalidInstanceID.Malformed"):
        key(shop, "i-?")


def test_another_accounts_instance_has_no_key(shop: Shop, shared: RunningServer) -> None:
    stranger = shared.ec2("stranger who wants a key")

    with refused("InvalidInstanceID.NotFound"):
        stranger.get_instance_tpm_ek_pub(InstanceId=launched(shop), KeyType="rsa-2048", KeyFormat="der")


def test_a_type_without_a_platform_module_is_refused(shop: Shop) -> None:
    image_id = registered(shop, TpmSupport="v2.0", Architecture="arm64")

    with pytest.raises(ClientError) as error:
        shop.launch_ids(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="a1.medium")

    assert refusal(error) == "InvalidParameterValue"
    assert "NitroTPM" in error.value.response["Error"]["Message"]


def test_an_instance_with_a_platform_module_keeps_to_types_that_have_one(shop: Shop) -> None:
    image_id = registered(shop, TpmSupport="v2.0", Architecture="arm64")
    instance_id = shop.launch(ImageId=image_id, InstanceType="t4g.micro")["InstanceId"]
    shop.stop(instance_id)

    with refused("InvalidParameterValue"):
        shop.ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "a1.medium"})


def test_a_host_without_an_emulator_of_modules_says_so_at_launch(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = registered(shop, TpmSupport="v2.0")
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    monkeypatch.setitem(hypervisor.guests, "x86_64", replace(hypervisor.guests["x86_64"], has_tpm=False))

    with pytest.raises(ClientError) as error:
        shop.launch_ids(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t3.micro")

    assert refusal(error) == "Unsupported"
    assert "`bakehouse doctor`" in error.value.response["Error"]["Message"]


def test_an_image_of_an_instance_asks_for_a_module_as_the_instance_has_one(shop: Shop) -> None:
    image_id = shop.ec2.create_image(InstanceId=launched(shop), Name="of it", NoReboot=True)["ImageId"]

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert (image["BootMode"], image["TpmSupport"]) == ("uefi", "v2.0")


def test_types_tell_whether_they_have_a_platform_module(shop: Shop) -> None:
    wanted: Any = ["t2.micro", "t3.micro", "t4g.micro", "a1.medium"]
    kinds = {it["InstanceType"]: it for it in shop.ec2.describe_instance_types(InstanceTypes=wanted)["InstanceTypes"]}

    assert {name for name, it in kinds.items() if it["NitroTpmSupport"] == "supported"} == {"t3.micro", "t4g.micro"}
    assert kinds["t3.micro"]["NitroTpmInfo"] == {"SupportedVersions": ["2.0"]}
    assert "NitroTpmInfo" not in kinds["t2.micro"]


@pytest.mark.parametrize(
    ("name", "value"), [("nitro-tpm-support", "supported"), ("nitro-tpm-info.supported-versions", "2.0")]
)
def test_types_are_found_by_their_platform_module(shop: Shop, name: str, value: str) -> None:
    kinds = shop.ec2.describe_instance_types(Filters=[{"Name": name, "Values": [value]}])["InstanceTypes"]

    names = {str(it["InstanceType"]) for it in kinds}
    assert {"m5.large", "t3.micro", "c7g.medium"} <= names
    assert not {"t2.micro", "m4.large", "a1.medium"} & names


def uefi_data(shop: Shop, instance_id: str) -> str:
    answer = shop.ec2.get_instance_uefi_data(InstanceId=instance_id)
    assert answer["InstanceId"] == instance_id
    return answer["UefiData"]


def without_variables(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the host be one that cannot read and write UEFI variables."""
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    monkeypatch.setitem(hypervisor.guests, "x86_64", replace(hypervisor.guests["x86_64"], has_uefi_data=False))


def test_an_instance_begins_with_the_variables_of_its_image(shop: Shop) -> None:
    image_id = registered(shop, UefiData=UEFI_DATA)

    instance_id = shop.launch(ImageId=image_id, InstanceType="t3.micro")["InstanceId"]

    assert uefi_data(shop, instance_id) == UEFI_DATA


def test_the_variables_of_an_instance_make_another_image(shop: Shop) -> None:
    instance_id = shop.launch(ImageId=registered(shop), InstanceType="t3.micro")["InstanceId"]

    image_id = registered(shop, Name="another", UefiData=uefi_data(shop, instance_id))

    assert shop.launch(ImageId=image_id, InstanceType="t3.micro")["State"]["Name"] == "running"


def test_an_image_of_an_instance_brings_the_variables_that_the_instance_began_with(shop: Shop) -> None:
    source = registered(shop, UefiData=UEFI_DATA)
    instance_id = shop.launch(ImageId=source, InstanceType="t3.micro")["InstanceId"]
    shop.ec2.deregister_image(ImageId=source)

    image_id = shop.ec2.create_image(InstanceId=instance_id, Name="of it", NoReboot=True)["ImageId"]

    answer = shop.ec2.describe_image_attribute(ImageId=image_id, Attribute="uefiData")
    assert answer["UefiData"] == {"Value": UEFI_DATA}


def test_the_variables_of_an_instance_that_booted_by_bios_are_refused(shop: Shop) -> None:
    with refused("UnsupportedOperation"):
        uefi_data(shop, shop.launch()["InstanceId"])


def test_the_variables_of_a_terminated_instance_are_gone(shop: Shop) -> None:
    instance_id = shop.launch(ImageId=registered(shop), InstanceType="t3.micro")["InstanceId"]
    shop.ec2.terminate_instances(InstanceIds=[instance_id], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    with refused("IncorrectInstanceState"):
        uefi_data(shop, instance_id)


def test_an_instance_that_is_not_there_has_no_variables(shop: Shop) -> None:
    with refused("InvalidInstanceID.NotFound"):
        uefi_data(shop, "i-00000000000000000")


def test_another_accounts_instance_has_no_variables(shop: Shop, shared: RunningServer) -> None:
    instance_id = shop.launch(ImageId=registered(shop), InstanceType="t3.micro")["InstanceId"]

    with refused("InvalidInstanceID.NotFound"):
        shared.ec2("stranger who wants variables").get_instance_uefi_data(InstanceId=instance_id)


@pytest.mark.parametrize("damaged", [UEFI_DATA.replace("AAAA", "AAAB", 1), "QU1aTlVFRkk=", "no base64"])
def test_variables_that_are_damaged_are_refused_at_registration(shop: Shop, damaged: str) -> None:
    with refused("InvalidParameterValue"):
        registered(shop, UefiData=damaged)


def test_a_host_that_cannot_write_variables_says_so_at_launch(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = registered(shop, UefiData=UEFI_DATA)
    without_variables(shop, monkeypatch)

    with pytest.raises(ClientError) as error:
        shop.launch_ids(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t3.micro")

    assert refusal(error) == "Unsupported"
    assert "`bakehouse doctor`" in error.value.response["Error"]["Message"]


def test_a_host_that_cannot_read_variables_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    instance_id = shop.launch(ImageId=registered(shop), InstanceType="t3.micro")["InstanceId"]
    without_variables(shop, monkeypatch)

    with refused("Unsupported"):
        uefi_data(shop, instance_id)


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (None, "This host cannot run x86_64 machines."),
        (frozenset({"legacy-bios"}), "This host has no uefi firmware for x86_64 machines."),
    ],
)
def test_a_host_without_emulator_or_firmware_says_so_at_launch_and_nothing_is_pending(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, lacking: frozenset[str] | None, reason: str
) -> None:
    image_id = registered(shop)
    hypervisor = shop.running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    if lacking is None:
        monkeypatch.delitem(hypervisor.guests, "x86_64")
    else:
        monkeypatch.setitem(hypervisor.guests, "x86_64", replace(hypervisor.guests["x86_64"], boot_modes=lacking))

    with pytest.raises(ClientError) as error:
        shop.launch_ids(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t3.micro")

    assert refusal(error) == "Unsupported"
    assert error.value.response["Error"]["Message"] == f"{reason} `bakehouse doctor` says what to install."
    assert shop.ec2.describe_instances()["Reservations"] == []
