"""The first account of a server's home, for boto3."""

import json
from pathlib import Path
from typing import Any


def own_account(home: Path) -> Any:
    """Return the arguments by which boto3 makes any client of it: `boto3.client("ec2", **own_account(home))`."""
    credentials = json.loads((home / "credentials.json").read_text())
    return {
        "endpoint_url": credentials["endpoint_url"],
        "region_name": credentials["region"],
        "aws_access_key_id": credentials["access_key_id"],
        "aws_secret_access_key": credentials["secret_access_key"],
    }
