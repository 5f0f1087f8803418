"""DHCP and DNS of a segment, by dnsmasq."""

import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.network.linux import programs
from bakehouse.drivers.network.linux.layout import (
    IPV6_RESOLVER,
    IPV6_SUBNET_PREFIX,
    METADATA_ADDRESS,
    TAP_PREFIX,
    UPLINK_RESOLVER,
    gateway,
    resolver,
)
from bakehouse.ports.network import AMAZON_PROVIDED_DNS, DhcpSpec, InterfaceSpec, SegmentSpec, SubnetSpec

_START_TIMEOUT_S: Final = 10
_STOP_TIMEOUT_S: Final = 5

#: Directories with a file per interface: what DHCP tells it, and what the resolver tells about it.
_HOSTS: Final = "hosts"
_NAMES: Final = "names"

_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def command_line(program: str, segment: SegmentSpec, files: Path, *, user: str, group: str) -> list[str]:
    """Return dnsmasq's argv for a segment. Pure.

    Args:
        program: dnsmasq itself.
        segment: Its subnets are served.
        files: Directory with `hosts/` and `names/`, a file per interface in each, and the pid file.
        user: Whom dnsmasq becomes after its start; empty to stay.
        group: That user's group; empty to stay.
    """
    return [
        program,
        "--conf-file=/dev/null",
        f"--user={user}",
        f"--group={group}",
        f"--pid-file={files / 'dnsmasq.pid'}",
        # Taps come and go: bind to each as it appears.
        "--bind-dynamic",
        f"--interface={TAP_PREFIX}*",
        "--interface=lo",
        *(_resolver_words(segment, files) if segment.dns_support else ("--port=0",)),
        "--dhcp-authoritative",
        "--dhcp-no-override",
        "--no-ping",
        "--leasefile-ro",
        f"--dhcp-hostsdir={files / _HOSTS}",
        *_offers(segment),
        "--dhcp-option=option:mtu,1500",
        *(word for subnet in segment.subnets for word in _subnet(subnet)),
        *(_ipv6_words(segment) if any(subnet.ipv6_cidr for subnet in segment.subnets) else ()),
    ]


def _resolver_words(segment: SegmentSpec, files: Path) -> list[str]:
    """Return what dnsmasq answers for, and whom it asks for the rest."""
    # Names of the domain that a DHCP options set gives are known too, but others of that domain may be outside.
    dhcp_domain = _dhcp(segment).domain_name
    domains = [segment.domain, *((dhcp_domain,) if dhcp_domain and dhcp_domain != segment.domain else ())]
    cidrs = (segment.cidr, *segment.extra_cidrs)
    return [
        "--no-hosts",
        "--no-resolv",
        f"--server={UPLINK_RESOLVER}",
        "--bogus-priv",
        f"--local=/{segment.domain}/",
        *((f"--local=/{segment.public_domain}/",) if segment.public_domain else ()),
        *(f"--synth-domain={domain},{cidr},ip-" for domain in domains if _is_domain(domain) for cidr in cidrs),
        f"--host-record=instance-data.{segment.domain},{METADATA_ADDRESS}",
        f"--hostsdir={files / _NAMES}",
    ]


def _offers(segment: SegmentSpec) -> list[str]:
    """Return what DHCP tells guests beside their addresses."""
    dhcp = _dhcp(segment)
    own = resolver(segment.cidr) if segment.dns_support else None
    servers = (own if server == AMAZON_PROVIDED_DNS else server for server in dhcp.domain_name_servers)
    offers = {
        "domain-name": [dhcp.domain_name] if dhcp.domain_name else [],
        "dns-server": [server for server in servers if server is not None],
        "ntp-server": dhcp.ntp_servers,
        "netbios-ns": dhcp.netbios_name_servers,
        "netbios-nodetype": [] if dhcp.netbios_node_type is None else [str(dhcp.netbios_node_type)],
    }
    words = [f"--dhcp-option=option:{name},{','.join(values)}" for name, values in offers.items() if values]
    # dnsmasq offers itself as a resolver unless it is told of another, or of none.
    return words if offers["dns-server"] else [*words, "--dhcp-option=option:dns-server"]


def _dhcp(segment: SegmentSpec) -> DhcpSpec:
    return segment.dhcp or DhcpSpec(domain_name=segment.domain, domain_name_servers=(AMAZON_PROVIDED_DNS,))


def _is_domain(text: str) -> bool:
    """Tell whether it is one domain: some operating systems take several, parted by blanks."""
    return _DOMAIN.fullmatch(text) is not None


def host_line(interface: InterfaceSpec) -> str:
    """Return the line that gives an interface its addresses and name. Pure."""
    addresses = (interface.private_ip, *(f"[{address}]" for address in interface.ipv6_addresses[:1]))
    return f"{interface.mac},{','.join(addresses)},{interface.host_name},infinite\n"


def name_lines(interface: InterfaceSpec, domain: str) -> str:
    """Return the lines that give an interface's addresses their names, the first also the address's own. Pure."""
    names = {
        interface.private_ip: (interface.host_name, *interface.names),
        **{pair.private_ip: pair.names for pair in interface.secondary_ips},
        **dict.fromkeys(interface.ipv6_addresses[:1], interface.ipv6_names),
    }
    return "".join(
        f"{address} {' '.join(name if '.' in name else f'{name}.{domain}' for name in known)}\n"
        for address, known in names.items()
        if known
    )


def _subnet(subnet: SubnetSpec) -> list[str]:
    network = IPv4Network(subnet.cidr)
    # The netmask must be there: taps have /32 addresses, from which dnsmasq cannot see the subnet.
    words = [
        f"--dhcp-range=set:{subnet.subnet_id},{network.network_address},static,{network.netmask},infinite",
        f"--dhcp-option=tag:{subnet.subnet_id},option:router,{gateway(subnet.cidr)}",
    ]
    if subnet.ipv6_cidr is not None:
        # `off-link`: neighbours, too, are reached by the router, which alone can answer for them.
        start = IPv6Network(subnet.ipv6_cidr).network_address
        words.append(f"--dhcp-range=set:{subnet.subnet_id},{start},static,off-link,{IPV6_SUBNET_PREFIX},infinite")
    return words


def _ipv6_words(segment: SegmentSpec) -> list[str]:
    """Return what dual-stack subnets need besides: routers say that they are, and which resolver there is."""
    resolver_word = f"--dhcp-option=option6:dns-server,[{IPV6_RESOLVER}]"
    return ["--enable-ra", resolver_word if segment.dns_support else "--dhcp-option=option6:dns-server"]


class NameService:
    """A segment's dnsmasq. It outlives the agent, and so keeps the namespace for the next one.

    Args:
        files: Its directory, made here.
        unprivileged: Whether dnsmasq becomes `nobody` (as root), or stays who we are (in a user namespace).
    """

    def __init__(self, files: Path, *, unprivileged: bool) -> None:
        self._files = files
        self._domain = ""
        self._user, self._group = nobody() if unprivileged else ("", "")
        self._program = programs.find("dnsmasq") or "dnsmasq"
        self._argv: list[str] = []
        #: dnsmasq's pid and start time: the pid file is gone when the home is. One may run from an agent before us.
        self._process = _identity(holder(files))

    async def serve(self, segment: SegmentSpec) -> None:
        """Make dnsmasq serve this segment; it goes on when it does already.

        Raises:
            process.ProcessFailed: dnsmasq does not start, and says why.
        """
        argv = command_line(self._program, segment, self._files, user=self._user, group=self._group)
        if argv == self._argv and self._is_running():
            return
        await self.stop()
        if not self._argv:  # what an agent before us left; the server describes its interfaces again
            for name in (_HOSTS, _NAMES):
                shutil.rmtree(self._files / name, ignore_errors=True)
        read = [self._files / _HOSTS, self._files / _NAMES]
        for directory in read:
            directory.mkdir(parents=True, exist_ok=True)
        if self._user:  # whatever our umask is: it must read what we write
            for directory in (self._files.parent, self._files, *read):
                directory.chmod(0o755)
        self._domain = segment.domain
        # It goes into the background by itself, once it serves; its exit status tells whether it could.
        await process.run(argv, timeout_s=_START_TIMEOUT_S)
        self._process = _identity(holder(self._files))
        self._argv = argv

    def add(self, interface: InterfaceSpec) -> None:
        """Know an interface. dnsmasq watches the directories and reads the files at once; what it reads is added."""
        changed = (self._files / _NAMES / interface.interface_id).exists()
        for directory, text in ((_HOSTS, host_line(interface)), (_NAMES, name_lines(interface, self._domain))):
            known = self._files / directory / interface.interface_id
            draft = known.with_name(f".{interface.interface_id}")
            draft.write_text(text, encoding="ascii")
            draft.chmod(0o644)
            draft.rename(known)
        if changed:
            self._signal(signal.SIGHUP)

    def remove(self, interface_id: str) -> None:
        """Forget an interface. dnsmasq does not watch removals everywhere, so it is told."""
        for directory in (_HOSTS, _NAMES):
            (self._files / directory / interface_id).unlink(missing_ok=True)
        self._signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End dnsmasq, if it runs."""
        if self._process is not None and self._is_running():
            self._signal(signal.SIGKILL)
            await process.wait_until_gone(*self._process, timeout_s=_STOP_TIMEOUT_S)

    async def remove_all(self) -> None:
        """End dnsmasq and remove its files."""
        await self.stop()
        shutil.rmtree(self._files, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process[0], number)

    def _is_running(self) -> bool:
        return self._process is not None and process.is_running(*self._process)


def holder(files: Path) -> int | None:
    """Return the pid of a segment's dnsmasq, or None when it does not run.

    A pid file outlives its process, and the pid may be another's by then: the command line tells.
    """
    try:
        pid = int((files / "dnsmasq.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if f"--pid-file={files / 'dnsmasq.pid'}".encode() in words else None


def _identity(pid: int | None) -> tuple[int, int] | None:
    started = None if pid is None else process.start_time(pid)
    return None if pid is None or started is None else (pid, started)


def nobody() -> tuple[str, str]:
    """Return the unprivileged user's and group's names; the group is `nogroup` on Debian, `nobody` on Fedora."""
    user = pwd.getpwnam("nobody")
    return user.pw_name, grp.getgrgid(user.pw_gid).gr_name
