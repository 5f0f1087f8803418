"""What to do next after a refusal of the API, as far as its code tells."""

from typing import Final

#: What a code begins with -> the step.
_STEPS: Final = {
    "IncorrectInstanceState": "look at its state: `aws ec2 describe-instances`",
    "InsufficientInstanceCapacity": "see what is in use: `bakehouse status`; what a type needs: "
    "`aws ec2 describe-instance-types`",
    "InvalidAMIID": "see which there are: `bakehouse image list`",
    "InvalidInstanceID": "see which there are: `aws ec2 describe-instances`",
    "InvalidAMIName.Duplicate": "choose another: `--name NAME`",
    "InvalidAMIName.Malformed": "choose another: `--name NAME`",
    "InvalidInstanceType": "see which there are: `aws ec2 describe-instance-types`",
    "InvalidKeyPair.NotFound": "see which there are: `aws ec2 describe-key-pairs`; without `--key` one is made",
    "InvalidVolume": "see which there are: `aws ec2 describe-volumes`",
}


def next_step(code: str) -> str:
    """Return the hint for an error's code; nothing where the message says it all."""
    return next((step for begin, step in _STEPS.items() if code.startswith(begin)), "")
