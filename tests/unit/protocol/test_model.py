import pytest

from bakehouse.protocol.model import Operation, ServiceModel

EC2 = ServiceModel.load("ec2")


def operation(name: str) -> Operation:
    found = EC2.operation(name)
    assert found is not None
    return found


def test_an_operation_is_known_by_its_exact_name_only() -> None:
    assert EC2.operation("RunInstances") is EC2.operation("RunInstances")
    assert EC2.operation("runInstances") is None
    assert EC2.operation("") is None


def test_the_model_is_the_newest_of_the_service() -> None:
    assert (EC2.api_version, EC2.protocol) == ("2016-11-15", "ec2")
    assert (ServiceModel.load("sts").api_version, ServiceModel.load("sts").protocol) == ("2011-06-15", "query")


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("RunInstances", "ClientToken"),
        ("CreateVolume", "ClientToken"),
        ("AllocateHosts", "ClientToken"),  # without the model's trait
        ("DescribeInstances", None),
    ],
)
def test_an_operation_says_which_member_makes_it_idempotent(name: str, member: str | None) -> None:
    assert operation(name).client_token_member == member


def test_each_shape_is_one_object() -> None:
    assert EC2.shape("TagList") is EC2.shape("TagList")
    assert EC2.shape("Image").members["Tags"].shape is EC2.shape("TagList")


def test_an_unknown_shape_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        EC2.shape("NoSuchShape")


def test_a_list_element_is_asked_of_lists_only() -> None:
    with pytest.raises(TypeError):
        _ = EC2.shape("Image").element
