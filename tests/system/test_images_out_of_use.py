"""Every operation that names an image, asked about one that is out of use: an answer of EC2's, whoever asks."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.serialize import EC2Serializer
from tests.protocol.model_values import Values
from tests.server import RunningServer
from tests.system.image_permission_rules import NOT_FOUND
from tests.system.sharing import share
from tests.system.shop import Shop
from tests.system.wire import Answer, Wire

from bakehouse.ec2.operations import OPERATIONS

MODEL: Any = ServiceModel(Loader().load_service_model("ec2", "service-2"))
_MEMBERS = ("ImageId", "SourceImageId")


def named_by(operation: str) -> str | None:
    """Return the member that names an image."""
    if operation not in MODEL.operation_names:
        return None
    members = MODEL.operation_model(operation).input_shape.members
    return next((member for member in _MEMBERS if member in members), None)


OF_IMAGES = sorted(name for name in OPERATIONS if named_by(name) is not None)


def ask(running: RunningServer, account: str, operation: str, image_id: str) -> Answer:
    """Ask about an image, with the least that the model wants beside it."""
    model = MODEL.operation_model(operation)
    parameters = {**Values(operation).least(model.input_shape), named_by(operation): image_id}
    if operation == "CopyImage":
        parameters["SourceRegion"] = "us-east-1"
    form = EC2Serializer().serialize_to_request(parameters, model)["body"]
    return Wire(running, account).ask(operation, {k: v for k, v in form.items() if k not in ("Action", "Version")})


@pytest.fixture
def shop(shared: RunningServer, request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """An account with an image."""
    (disk := tmp_path / "disk.raw").write_bytes(bytes(1024**2))
    return Shop(shared, f"owner of {request.node.nodeid}", disk)


@pytest.mark.parametrize("operation", [it for it in OF_IMAGES if it != "RestoreImageFromRecycleBin"])
def test_the_owner_of_a_disabled_image_is_answered(shared: RunningServer, shop: Shop, operation: str) -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)

    answer = ask(shared, shop.name, operation, shop.image_id)

    assert answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    assert answer.code != NOT_FOUND


@pytest.mark.parametrize("operation", OF_IMAGES)
def test_an_image_that_is_barred_is_found_by_no_operation(
    shared: RunningServer, shop: Shop, operation: str, request: pytest.FixtureRequest
) -> None:
    share(shop.ec2, shop.image_id, "all")
    stranger = f"stranger of {request.node.nodeid}"
    shared.ec2(stranger).enable_allowed_images_settings(AllowedImagesSettingsState="enabled")

    barred = ask(shared, stranger, operation, shop.image_id)
    missing = ask(shared, stranger, operation, "ami-0123456789abcdef0")

    assert barred.status < HTTPStatus.INTERNAL_SERVER_ERROR
    assert (barred.status, barred.code) == (missing.status, missing.code)
    assert barred.code is not None
