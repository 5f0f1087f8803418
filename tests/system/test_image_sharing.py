"""Three accounts and an image of the first: each sees, launches, copies and changes what permissions say, always."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer
from tests.system.shop import Shop, refusal

NOT_FOUND = "InvalidAMIID.NotFound"


class Reader:
    """An account beside the owner's, and what it may do with the image. Each question is answered `ok` or by a code."""

    def __init__(self, running: RunningServer, name: str, image_id: str) -> None:
        self.ec2: Any = running.ec2(name)
        self.account_id = running.access_key(name).account_id
        self.image_id = image_id
        self._copies = 0

    def may(self) -> dict[str, str]:
        return {
            "see": _outcome(lambda: self.ec2.describe_images(ImageIds=[self.image_id])),
            "find": "ok" if self._found() else "nothing",
            "launch": _outcome(self._launch),
            "copy": _outcome(self._copy),
            "read": _outcome(
                lambda: self.ec2.describe_image_attribute(ImageId=self.image_id, Attribute="launchPermission")
            ),
            "change": _outcome(
                lambda: self.ec2.modify_image_attribute(ImageId=self.image_id, Description={"Value": "mine"})
            ),
            "deregister": _outcome(lambda: self.ec2.deregister_image(ImageId=self.image_id)),
        }

    def _found(self) -> bool:
        images = self.ec2.describe_images(Filters=[{"Name": "image-id", "Values": [self.image_id]}])["Images"]
        return bool(images)

    def _launch(self) -> None:
        (instance,) = self.ec2.run_instances(ImageId=self.image_id, MinCount=1, MaxCount=1)["Instances"]
        self.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])

    def _copy(self) -> None:
        self._copies += 1
        name = f"copy {self._copies}"
        self.ec2.copy_image(Name=name, SourceRegion="us-east-1", SourceImageId=self.image_id)


def _outcome(ask: Callable[[], object]) -> str:
    try:
        ask()
    except ClientError as err:
        return str(err.response["Error"]["Code"])
    return "ok"


#: To the owner's words: what those outside may do.
NOTHING = {
    "see": NOT_FOUND,
    "find": "nothing",
    "launch": NOT_FOUND,
    "copy": NOT_FOUND,
    "read": NOT_FOUND,
    "change": NOT_FOUND,
    "deregister": NOT_FOUND,
}
LAUNCH = {
    "see": "ok",
    "find": "ok",
    "launch": "ok",
    "copy": "InvalidRequest",
    "read": "AuthFailure",
    "change": "AuthFailure",
    "deregister": "AuthFailure",
}
LAUNCH_AND_COPY = {**LAUNCH, "copy": "ok"}


@pytest.fixture
def bob(shop: Shop, shared: RunningServer, request: pytest.FixtureRequest) -> Reader:
    return Reader(shared, f"bob of {request.node.nodeid}", shop.image_id)


@pytest.fixture
def carol(shop: Shop, shared: RunningServer, request: pytest.FixtureRequest) -> Reader:
    return Reader(shared, f"carol of {request.node.nodeid}", shop.image_id)


def permit(shop: Shop, operation: Any, *, image: bool = True, snapshot: bool = True, **who: Any) -> None:
    """Add or remove `UserId` or `Group` for the image, its snapshot, or both."""
    (described,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    snapshot_id = described["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    if image:
        change: Any = {operation: [who]}
        shop.ec2.modify_image_attribute(ImageId=shop.image_id, LaunchPermission=change)
    if snapshot:
        change = {operation: [who]}
        shop.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission=change)


def test_a_private_image_is_its_owners_alone(bob: Reader, carol: Reader) -> None:
    assert (bob.may(), carol.may()) == (NOTHING, NOTHING)


def test_one_account_of_two_may_launch(shop: Shop, bob: Reader, carol: Reader) -> None:
    permit(shop, "Add", snapshot=False, UserId=bob.account_id)

    assert (bob.may(), carol.may()) == (LAUNCH, NOTHING)


def test_one_account_of_two_may_copy_too(shop: Shop, bob: Reader, carol: Reader) -> None:
    permit(shop, "Add", snapshot=False, Group="all")
    permit(shop, "Add", image=False, UserId=carol.account_id)

    assert (bob.may(), carol.may()) == (LAUNCH, LAUNCH_AND_COPY)


def test_who_may_read_the_snapshot_alone_may_do_nothing_with_the_image(shop: Shop, bob: Reader, carol: Reader) -> None:
    permit(shop, "Add", image=False, Group="all")

    assert (bob.may(), carol.may()) == (NOTHING, NOTHING)


def test_a_public_image_is_everybodys_until_it_is_not(shop: Shop, bob: Reader, carol: Reader) -> None:
    permit(shop, "Add", Group="all")
    public = bob.may(), carol.may()

    permit(shop, "Remove", Group="all")
    private = bob.may(), carol.may()

    assert (public, private) == ((LAUNCH_AND_COPY, LAUNCH_AND_COPY), (NOTHING, NOTHING))


def test_what_is_taken_from_one_stays_with_the_other(shop: Shop, bob: Reader, carol: Reader) -> None:
    for reader in (bob, carol):
        permit(shop, "Add", UserId=reader.account_id)

    permit(shop, "Remove", UserId=bob.account_id)

    assert (bob.may(), carol.may()) == (NOTHING, LAUNCH_AND_COPY)


def test_a_share_that_is_given_back_is_gone_for_one_alone(shop: Shop, bob: Reader, carol: Reader) -> None:
    for reader in (bob, carol):
        permit(shop, "Add", UserId=reader.account_id)

    bob.ec2.cancel_image_launch_permission(ImageId=shop.image_id)

    assert (bob.may(), carol.may()) == (NOTHING, LAUNCH_AND_COPY)


def test_reset_takes_everything_from_everybody(shop: Shop, bob: Reader, carol: Reader) -> None:
    permit(shop, "Add", Group="all")
    permit(shop, "Add", UserId=bob.account_id)

    shop.ec2.reset_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")

    assert (bob.may(), carol.may()) == (NOTHING, NOTHING)


def test_a_copy_of_the_second_account_is_closed_to_the_first_and_the_third(
    shop: Shop, bob: Reader, carol: Reader, shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    permit(shop, "Add", UserId=bob.account_id)
    copy_id = bob.ec2.copy_image(Name="bob's", SourceRegion="us-east-1", SourceImageId=shop.image_id)["ImageId"]

    owner = Reader(shared, request.node.nodeid, copy_id)
    carol.image_id = copy_id

    assert (owner.may(), carol.may()) == (NOTHING, NOTHING)


def test_nobody_learns_of_another_accounts_image_whether_it_is_there(shop: Shop, bob: Reader) -> None:
    def message(image_id: str) -> str:
        with pytest.raises(ClientError) as error:
            bob.ec2.describe_images(ImageIds=[image_id])
        assert refusal(error) == NOT_FOUND
        return str(error.value.response["Error"]["Message"]).replace(image_id, "ID")

    assert message(shop.image_id) == message("ami-00000000000000000")
