"""What the provider asks before anything else, and the data sources that are no resource's kin."""

from typing import Any

from tests.clients.terraform.provider import Ec2, Values


def account_of(sts: Any, iam: Any) -> str:
    """Return the account that the provider works in, in each way in which it learns of it.

    Source: hashicorp/aws-sdk-go-base, aws_config.go and awsauth.go: credentials are tried by sts:GetCallerIdentity; an
    account is read of the user's ARN, of the caller's, or of any role's.
    """
    caller, user = sts.get_caller_identity(), iam.get_user()["User"]
    assert [arn.split(":")[4] for arn in (caller["Arn"], user["Arn"])] == [caller["Account"]] * 2
    roles = iam.list_roles(MaxItems=1)["Roles"]
    assert all(role["Arn"].split(":")[4] == caller["Account"] for role in roles)
    return str(caller["Account"])


def aws_caller_identity(sts: Any) -> Values:
    """internal/service/sts/caller_identity_data_source.go."""
    caller = sts.get_caller_identity()
    return {"account_id": caller["Account"], "arn": caller["Arn"], "user_id": caller["UserId"]}


def aws_availability_zones(ec2: Ec2, *, state: str | None = None, every: bool = False, **wanted: str) -> Values:
    """ec2_availability_zones_data_source.go. `wanted`: filters, `_` for `-`.

    aws_region asks nothing: the provider knows the regions.
    """
    filters = [{"Name": "state", "Values": [state]}] if state else []
    filters += [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in wanted.items()]
    asked = {"AllAvailabilityZones": True} if every else {}
    zones = ec2.describe_availability_zones(**asked, **({"Filters": filters} if filters else {}))["AvailabilityZones"]
    zones.sort(key=lambda zone: zone["ZoneName"])
    return {
        "group_names": {zone["GroupName"] for zone in zones},
        "names": [zone["ZoneName"] for zone in zones],
        "zone_ids": [zone["ZoneId"] for zone in zones],
    }
