"""Regions and zones that this server answers for."""

from typing import Final

#: region -> its long name. Source: EC2 User Guide, "Available Regions" (those enabled by default, and opt-in ones
#: left out: an account here has every region listed).
REGIONS: Final = {
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-northeast-2": "Asia Pacific (Seoul)",
    "ap-northeast-3": "Asia Pacific (Osaka)",
    "ap-south-1": "Asia Pacific (Mumbai)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
    "ca-central-1": "Canada (Central)",
    "eu-central-1": "Europe (Frankfurt)",
    "eu-north-1": "Europe (Stockholm)",
    "eu-west-1": "Europe (Ireland)",
    "eu-west-2": "Europe (London)",
    "eu-west-3": "Europe (Paris)",
    "sa-east-1": "South America (Sao Paulo)",
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
}

DEFAULT_REGION: Final = "us-east-1"
ZONE_LETTERS: Final = "abc"


def zones(region: str) -> tuple[str, ...]:
    """Return the zones of a region, such as `us-east-1a`; three in each."""
    return tuple(f"{region}{letter}" for letter in ZONE_LETTERS)


def zone_id(zone: str) -> str:
    """Return a zone's id, such as `use1-az1`, from its name. Source: EC2 User Guide, "Availability Zone IDs"."""
    region, letter = zone[:-1], zone[-1]
    area, direction, number = region.rsplit("-", 2)[0], region.split("-")[1], region.rsplit("-", 1)[1]
    short = "".join(
        word[0]
        for word in direction.replace("north", "n ")
        .replace("south", "s ")
        .replace("east", "e ")
        .replace("west", "w ")
        .replace("central", "c ")
        .split()
    )
    return f"{area.split('-')[0]}{short}{number}-az{ZONE_LETTERS.index(letter) + 1}"
