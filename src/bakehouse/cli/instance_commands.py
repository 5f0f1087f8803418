"""The command that launches instances."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bakehouse.cli.home import HomeOption, home_of
from bakehouse.cli.terminal import CommandFailed, note, print_text

#: Name of the key pair and the security group that `launch` makes for itself.
_OWN_NAME: Final = "bakehouse"
_SSH_PORT: Final = 22


def launch(
    image: Annotated[str, typer.Argument(help="An image's id or name; a recipe's name stands for its newest build.")],
    home: HomeOption = None,
    instance_type: Annotated[str, typer.Option("--type", help="Its size.")] = "t2.micro",
    key: Annotated[str | None, typer.Option(help="A key pair's name; without it one is made and kept here.")] = None,
    name: Annotated[str | None, typer.Option(help="Its Name tag.")] = None,
    user_data: Annotated[Path | None, typer.Option(help="A file with its user data.", exists=True)] = None,
    open_port: Annotated[list[int] | None, typer.Option("--open", help="A TCP port to open, beside 22.")] = None,
    count: Annotated[int, typer.Option(help="How many.", min=1)] = 1,
    *,
    spot: Annotated[bool, typer.Option("--spot", help="As spot instances, which can be interrupted.")] = False,
) -> None:
    """Launch instances and print their ids."""
    from bakehouse.cli.client import ec2_client

    where = home_of(home)
    client = ec2_client(where)
    request: dict[str, Any] = {
        "ImageId": _image_id(client, image),
        "InstanceType": instance_type,
        "MinCount": count,
        "MaxCount": count,
        "KeyName": key or _own_key(client, where),
        "SecurityGroupIds": [_own_group(client, {_SSH_PORT, *(open_port or ())})],
    }
    if user_data is not None:
        request["UserData"] = user_data.read_bytes()
    if spot:
        request["InstanceMarketOptions"] = {"MarketType": "spot"}
    if name is not None:
        request["TagSpecifications"] = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
    instances = client.run_instances(**request)["Instances"]
    for instance in instances:
        print_text(instance["InstanceId"])
    note(f"connect: bakehouse ssh --wait {instances[0]['InstanceId']}")


def _image_id(client: Any, image: str) -> str:  # noqa: ANN401 - a botocore client
    if image.startswith("ami-"):
        return image
    wanted = [{"Name": "name", "Values": [image, f"{image}-*"]}, {"Name": "state", "Values": ["available"]}]
    found = client.describe_images(Owners=["self"], Filters=wanted)["Images"]
    if not found:
        from bakehouse.bootstrap.image_builds import is_recipe

        build = f"build it: `bakehouse image build {image}`"
        found_out = "see which there are: `bakehouse image list`; which can be had: `bakehouse image catalog`"
        raise CommandFailed(f"there is no image `{image}`", build if is_recipe(image) else found_out)
    newest: str = max(found, key=lambda entry: entry["CreationDate"])["ImageId"]
    return newest


def _own_key(client: Any, home: Path) -> str:  # noqa: ANN401 - a botocore client
    path = home / "keys" / f"{_OWN_NAME}.pem"
    wanted = [{"Name": "key-name", "Values": [_OWN_NAME]}]
    known = client.describe_key_pairs(Filters=wanted)["KeyPairs"]
    if known and not path.exists():
        raise CommandFailed(
            f"the private key of the key pair `{_OWN_NAME}` is not in `{path}`", "name a key pair: `--key NAME`"
        )
    if not known:
        material = client.create_key_pair(KeyName=_OWN_NAME, KeyType="ed25519")["KeyMaterial"]
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(material + "\n")
    return _OWN_NAME


def _own_group(client: Any, ports: set[int]) -> str:  # noqa: ANN401 - a botocore client
    wanted = [{"Name": "group-name", "Values": [_OWN_NAME]}]
    found = client.describe_security_groups(Filters=wanted)["SecurityGroups"]
    group_id: str = (
        found[0]["GroupId"]
        if found
        else client.create_security_group(GroupName=_OWN_NAME, Description="made by bakehouse launch")["GroupId"]
    )
    open_now = {entry.get("FromPort") for entry in (found[0]["IpPermissions"] if found else ())}
    for port in sorted(ports - open_now):
        client.authorize_security_group_ingress(
            GroupId=group_id, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0"
        )
    return group_id
