"""Security groups and their rules, in few words."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

ANYWHERE = "0.0.0.0/0"


def group(client: "EC2Client", group_id: str) -> Any:
    (found,) = client.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    return found


def tcp(port: int, *cidrs: str) -> Any:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr} for cidr in cidrs]}
