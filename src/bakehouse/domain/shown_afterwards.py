"""How long what has ended is still shown. The sweep forgets it then, so that no list grows for ever.

What ends with something else is forgotten with it: replacements of root volumes with their instance, a volume's
modification with the volume, what is known of deregistered images with the last one that descends from them.
"""

from datetime import timedelta
from typing import Final

#: Source: EC2 API Reference, "Ensuring idempotency": tokens are good for at least a day.
CLIENT_TOKEN: Final = timedelta(days=1)

#: Of a deleted fleet whose instances are terminated. EC2 does not say; what has happened to a fleet it tells so long.
#: Source: EC2 API Reference, DescribeFleetHistory: "EC2 Fleet events are available for 48 hours".
FLEET: Final = timedelta(hours=48)

#: Of an import or an export, ended either way. Source: EC2 API Reference, DescribeImportImageTasks: the last 7 days.
IMAGE_TASK: Final = timedelta(days=7)

#: From its making on. Source: EC2 API Reference, ImageUsageReport, ExpirationTime.
IMAGE_USAGE_REPORT: Final = timedelta(days=30)

#: Source: EC2 API Reference, TerminateInstances: terminated instances stay visible for approximately one hour.
INSTANCE: Final = timedelta(hours=1)

#: Source: EC2 User Guide, "Scheduled events for your instances": up to a week.
INSTANCE_EVENT: Final = timedelta(days=7)

#: Source: VPC User Guide, "Delete a NAT gateway": usually about an hour.
NAT_GATEWAY: Final = timedelta(hours=1)

#: Source: EC2 API Reference, DescribeSpotInstanceRequests: deleted four hours after the instances are terminated.
SPOT_REQUEST: Final = timedelta(hours=4)

#: Source: EC2 API Reference, DescribeStoreImageTasks: the past 31 days.
STORE_IMAGE_TASK: Final = timedelta(days=31)
