"""EC2 resource ids: a prefix that tells the type, a hyphen, and 17 hexadecimal digits.

Source: EC2 User Guide, "Resource IDs". Ids of the older form with 8 digits are accepted in requests, never made.
"""

import re
import secrets
from typing import Final

#: resource type, as DescribeTags and TagSpecifications name it -> id prefix.
PREFIXES: Final = {
    "dhcp-options": "dopt",
    "egress-only-internet-gateway": "eigw",
    "elastic-ip": "eipalloc",
    "elastic-ip-association": "eipassoc",
    "export-image-task": "export-ami",
    "export-instance-task": "export-i",
    "iam-instance-profile-association": "iip-assoc",
    "fleet": "fleet",
    "image": "ami",
    "image-usage-report": "amiur",
    "import-image-task": "import-ami",
    "import-snapshot-task": "import-snap",
    "instance": "i",
    "instance-event": "instance-event",
    "internet-gateway": "igw",
    "key-pair": "key",
    "natgateway": "nat",
    "launch-template": "lt",
    "network-acl": "acl",
    "network-acl-association": "aclassoc",
    "network-interface": "eni",
    "network-interface-attachment": "eni-attach",
    "placement-group": "pg",
    "prefix-list": "pl",
    "replace-root-volume-task": "replacevol",
    "reservation": "r",
    "route-table": "rtb",
    "route-table-association": "rtbassoc",
    "security-group": "sg",
    "security-group-rule": "sgr",
    "snapshot": "snap",
    "spot-instances-request": "sir",
    "subnet": "subnet",
    "subnet-cidr-block-association": "subnet-cidr-assoc",
    "subnet-cidr-reservation": "scr",
    "volume": "vol",
    "vpc": "vpc",
    "vpc-cidr-block-association": "vpc-cidr-assoc",
    "vpc-endpoint": "vpce",
}
_TYPE_OF_PREFIX: Final = {prefix: resource_type for resource_type, prefix in PREFIXES.items()}
_FORM: Final = re.compile(r"([a-z]+(?:-[a-z]+)*)-([0-9a-f]{8}|[0-9a-f]{17})")


def new_id(resource_type: str) -> str:
    """Return a fresh id such as `i-0f3a9c51e2b47d680`. EC2 begins the digits of long ids with 0."""
    return f"{PREFIXES[resource_type]}-0{secrets.token_hex(8)}"


def resource_type_of(resource_id: str) -> str | None:
    """Return the resource type that an id's prefix names, or None when it is no EC2 id."""
    form = _FORM.fullmatch(resource_id)
    return _TYPE_OF_PREFIX.get(form[1]) if form else None


def is_well_formed(resource_id: str, resource_type: str) -> bool:
    """Tell whether a text has the form of this type's ids."""
    return resource_type_of(resource_id) == resource_type
