"""How `--help` shows commands: each in a list with its whole first sentence, and by itself with examples."""

from typing import Any, Final

from typer.core import TyperCommand

_INSTANCE: Final = "i-0123456789abcdef0"

#: Command -> lines that somebody could type. Those that explain themselves have none.
EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "up": ("bakehouse up", "bakehouse up --home ~/second --port 9000", "bakehouse up --home /tmp/try --simulate"),
    "env": ('eval "$(bakehouse env)"; aws ec2 describe-images --owners self',),
    "launch": (
        "bakehouse launch debian-12 --name web --open 80 --user-data web.sh",
        "bakehouse launch ami-0123456789abcdef0 --type t3.small --count 3",
    ),
    "console": (f"bakehouse console {_INSTANCE} --follow", f"bakehouse console {_INSTANCE} --interactive"),
    "ssh": (f"bakehouse ssh --wait {_INSTANCE}", f"bakehouse ssh {_INSTANCE} -i me.pem -- uname -a"),
    "scp": (
        f"bakehouse scp -r site {_INSTANCE}:/var/www",
        f"bakehouse scp --wait {_INSTANCE}:/etc/os-release .",
    ),
    "forward": (f"bakehouse forward {_INSTANCE} 8080:80", f"bakehouse forward {_INSTANCE} 5432:db.internal:5432"),
    "ssh-config": ("bakehouse ssh-config --install",),
    "image build": ("bakehouse image build debian-12", "bakehouse image build minimal --arch arm64"),
    "image import": (
        "bakehouse image import appliance.ova --name appliance --user admin",
        "bakehouse image import https://example.com/disk.qcow2 --name disk --checksum sha256:HEX",
    ),
    "image export": ("bakehouse image export ami-0123456789abcdef0 disk.vmdk --format vmdk",),
    "image pull": ("bakehouse image pull ubuntu-24.04",),
    "account create": ("bakehouse account create alice",),
    "key create": ("bakehouse key create payroll",),
    "spot interrupt": (f"bakehouse spot interrupt {_INSTANCE} --in 30",),
    "event schedule": (f"bakehouse event schedule {_INSTANCE} instance-stop --in 600",),
}


class Command(TyperCommand):
    """A command whose line in a list is as long as it needs to be, not cut where the terminal ends."""

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - the library's signature
        """Return the first paragraph of its help."""
        return " ".join((self.help or "").partition("\n\n")[0].split())


def described(name: str) -> dict[str, Any]:
    """Return what a command is registered with, by its name as it is typed: `image build`."""
    lines = EXAMPLES.get(name, ())
    # A paragraph that begins with this mark is printed line by line.
    epilog = "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)]) if lines else None
    return {"name": name.rpartition(" ")[2], "cls": Command, "epilog": epilog}
