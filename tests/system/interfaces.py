"""Network interfaces, in few words."""

from typing import TYPE_CHECKING, Any

from tests.system.networking import new_interface
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def default_subnet(client: "EC2Client", zone: str = "us-east-1a") -> str:
    wanted: Any = [{"Name": "availability-zone", "Values": [zone]}]
    return client.describe_subnets(Filters=wanted)["Subnets"][0]["SubnetId"]


def described(client: "EC2Client", interface_id: str) -> Any:
    (interface,) = client.describe_network_interfaces(NetworkInterfaceIds=[interface_id])["NetworkInterfaces"]
    return interface


def found(client: "EC2Client", name: str, value: str) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]}]
    interfaces = client.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    return [interface["NetworkInterfaceId"] for interface in interfaces]


def attached(shop: Shop, instance_id: str, device_index: int = 1, **members: Any) -> Any:
    """Make an interface, attach it, and return it."""
    interface = new_interface(shop.ec2, default_subnet(shop.ec2), **members)
    shop.ec2.attach_network_interface(
        NetworkInterfaceId=interface["NetworkInterfaceId"], InstanceId=instance_id, DeviceIndex=device_index
    )
    return described(shop.ec2, interface["NetworkInterfaceId"])
