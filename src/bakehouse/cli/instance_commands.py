"""Commands on instances: launch, ssh."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bakehouse.cli.home import HomeOption, control, credentials_of, home_of
from bakehouse.cli.image_imports import USER_TAG
from bakehouse.cli.terminal import CommandFailed, note, print_text

#: Name of the key pair and the security group that `launch` makes for itself.
_OWN_NAME: Final = "bakehouse"
_DEFAULT_USER: Final = "ec2-user"
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
) -> None:
    """Launch instances and print their ids."""
    from bakehouse.cli.client import ec2_client

    where = home_of(home)
    client = ec2_client(credentials_of(where))
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
    if name is not None:
        request["TagSpecifications"] = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
    instances = client.run_instances(**request)["Instances"]
    for instance in instances:
        print_text(instance["InstanceId"])
    note(f"connect: bakehouse ssh {instances[0]['InstanceId']}")


def ssh(
    ctx: typer.Context,
    instance_id: str,
    home: HomeOption = None,
    user: Annotated[str | None, typer.Option("--user", "-l", help="Whom to log in as.")] = None,
    identity: Annotated[Path | None, typer.Option("--identity", "-i", help="The private key's file.")] = None,
) -> None:
    """Connect to an instance; what follows `--` goes to ssh."""
    from bakehouse.cli.client import ec2_client

    where = home_of(home)
    client = ec2_client(credentials_of(where))
    instance = _instance(client, instance_id)
    with control(where) as server:
        place = server.get(f"/instances/{instance_id}/reach/{_SSH_PORT}")
    key_file = identity or where / "keys" / f"{instance.get('KeyName', '')}.pem"
    arguments = [
        "ssh",
        "-p", str(place["host_port"]),
        "-l", user or _user_of(client, instance["ImageId"]),
        "-o", f"HostKeyAlias={instance_id}",
        "-o", f"UserKnownHostsFile={where / 'known_hosts'}",
        "-o", "StrictHostKeyChecking=accept-new",
        *(["-i", str(key_file)] if key_file.exists() else []),
        place["public_ip"],
        *ctx.args,
    ]  # fmt: skip
    os.execvp(arguments[0], arguments)  # noqa: S606 - the terminal becomes ssh's


def _image_id(client: Any, image: str) -> str:  # noqa: ANN401 - a botocore client
    if image.startswith("ami-"):
        return image
    wanted = [{"Name": "name", "Values": [image, f"{image}-*"]}, {"Name": "state", "Values": ["available"]}]
    found = client.describe_images(Owners=["self"], Filters=wanted)["Images"]
    if not found:
        raise CommandFailed(f"there is no image `{image}`", f"build it: `bakehouse image build {image}`")
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


def _instance(client: Any, instance_id: str) -> dict[str, Any]:  # noqa: ANN401 - a botocore client
    instance: dict[str, Any] = client.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return instance


def _user_of(client: Any, image_id: str) -> str:  # noqa: ANN401 - a botocore client
    """Return the user of an image, or of the image that its source instance came from."""
    seen: set[str] = set()
    wanted: str | None = image_id
    while wanted is not None and wanted not in seen:
        seen.add(wanted)
        found = client.describe_images(Filters=[{"Name": "image-id", "Values": [wanted]}])["Images"]
        if not found:
            break
        for tag in found[0].get("Tags", ()):
            if tag["Key"] == USER_TAG:
                user: str = tag["Value"]
                return user
        wanted = found[0].get("SourceImageId")
    return _DEFAULT_USER
