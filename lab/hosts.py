# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's hosts: containers that behave like small servers, reached by SSH."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass

from lab.images import image_of
from lab.paths import STATE
from lab.shell import LabError, answers, install_packages, output
from lab.steps import Say

__all__ = [
    "DEMO",
    "HOSTS",
    "LABEL",
    "SYSTEMD_OPTIONS",
    "Host",
    "collision",
    "known_hosts",
    "network_prefix",
    "remove_hosts",
    "ssh_options",
    "start_hosts",
]

# Everything that the demo makes carries it, and nothing else does.
LABEL = "koprogo.lab=demo"
_NETWORK = "koprogo-demo"
# Key, known hosts and the tunnel's socket; inventories/demo names the same folder.
DEMO = STATE / "demo"
KEY = DEMO / "id_ed25519"
KNOWN_HOSTS = DEMO / "known_hosts"
USER = "debian"

# What systemd needs in a container, on cgroup v1 and v2, short of a privileged one.
SYSTEMD_OPTIONS = (
    *("--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cap-add=NET_RAW", "--cap-add=SYS_PTRACE"),
    *("--security-opt=seccomp=unconfined", "--cgroupns=private", "--env=container=docker"),
    *("--tmpfs=/run", "--tmpfs=/run/lock", "--stop-signal=SIGRTMIN+3"),
)


@dataclass(frozen=True)
class Host:
    """One host; ``number`` is the last part of its address in inventories/demo/hosts.yml."""

    name: str
    release: str
    number: int

    @property
    def container(self) -> str:
        """The container's name."""
        return f"koprogo-demo-{self.name}"

    @property
    def address(self) -> str:
        """The address that Ansible and the other hosts use."""
        return f"{network_prefix()}.{self.number}"


# Both supported releases; PostgreSQL 15 is Debian 12's.
HOSTS = (
    Host("mon1", "debian12", 11),
    Host("api1", "debian13", 12),
    Host("db1", "debian12", 13),
)


def network_prefix(value: str | None = None) -> str:
    """Return the first three parts of the demo's network; inventories/demo has the same default."""
    prefix = value if value is not None else os.environ.get("KOPROGO_DEMO_NETWORK", "")
    prefix = prefix or "10.177.83"
    try:
        network = ipaddress.ip_network(f"{prefix}.0/24")
    except ValueError as error:
        raise LabError(
            f"KOPROGO_DEMO_NETWORK: expected three parts of an address such as 10.177.83, found {prefix!r}."
        ) from error
    if not network.is_private:
        raise LabError(f"KOPROGO_DEMO_NETWORK: expected a private network, found {prefix}.0/24.")
    return prefix


def collision(prefix: str, routes: Iterable[str]) -> str | None:
    """Return the machine's route that overlaps with the demo's network."""
    ours = ipaddress.ip_network(f"{prefix}.0/24")
    for route in routes:
        if route == "default":
            continue
        other = ipaddress.ip_network(route, strict=False)
        if other.version == 4 and other.prefixlen > 0 and other.overlaps(ours):
            return route
    return None


def known_hosts(keys: Iterable[tuple[str, str]]) -> str:
    """Return a known_hosts file from addresses and public keys."""
    lines = []
    for address, key in keys:
        kind, data, *_ = key.split()
        if not re.fullmatch(r"ssh-ed25519|ecdsa-\S+|ssh-rsa", kind):
            raise ValueError(f"not a public host key: {key!r}")
        lines.append(f"{address} {kind} {data}\n")
    return "".join(lines)


def ssh_options() -> list[str]:
    """Return the options with which the demo's hosts are reached; checking is strict."""
    return [
        *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={KNOWN_HOSTS}"),
        *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"),
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i", str(KEY)),
    ]


def _ensure_network(say: Say) -> None:
    prefix = network_prefix()
    if answers(["docker", "network", "inspect", _NETWORK]):
        subnet = output(
            ["docker", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", _NETWORK]
        ).strip()
        if subnet != f"{prefix}.0/24":
            raise LabError(
                f"The demo runs on {subnet}, not on {prefix}.0/24: run `make demo-down` first,"
                " or set KOPROGO_DEMO_NETWORK as it was."
            )
        return
    if shutil.which("ip"):
        routes = [str(route["dst"]) for route in json.loads(output(["ip", "-json", "-4", "route"]))]
        taken = collision(prefix, routes)
        if taken:
            raise LabError(
                f"The demo's network {prefix}.0/24 collides with this machine's route to {taken}:"
                " choose another, such as KOPROGO_DEMO_NETWORK=10.178.9 make demo."
            )
    say(f"making the network {prefix}.0/24")
    output(["docker", "network", "create", "--label", LABEL, f"--subnet={prefix}.0/24", _NETWORK])


def _state(container: str) -> str:
    """Return the container's state as the engine names it, or nothing."""
    names = ["docker", "ps", "--all", "--filter", f"name=^/{container}$"]
    return output([*names, "--format", "{{.State}}"]).strip()


def _create(host: Host) -> None:
    options = ["--detach", "--name", host.container, "--hostname", host.name, "--label", LABEL]
    options += ["--network", _NETWORK, "--ip", host.address]
    output(["docker", "run", *options, *SYSTEMD_OPTIONS, image_of(host.release), "/sbin/init"])


def _wait_for_boot(host: Host) -> None:
    deadline = time.monotonic() + 90
    state = "nothing"
    while time.monotonic() < deadline:
        command = "systemctl is-system-running --wait 2>/dev/null || true"
        try:
            state = output(["docker", "exec", host.container, "sh", "-c", command]).strip()
        except LabError:
            state = _state(host.container) or "gone"
        if state in ("running", "degraded"):
            return
        time.sleep(0.5)
    raise LabError(
        f"{host.name} did not boot: systemd says {state!r}. See docker logs {host.container}."
    )


def _key() -> str:
    """Return the demo's public key, made when there is none."""
    public = KEY.with_name(f"{KEY.name}.pub")
    if not (KEY.exists() and public.exists()):
        DEMO.mkdir(parents=True, exist_ok=True, mode=0o700)
        KEY.unlink(missing_ok=True)
        output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "koprogo demo", "-f", KEY])
    return public.read_text(encoding="utf-8")


def _let_in(host: Host, public: str) -> None:
    command = (
        "install -d -m 0700 -o debian -g debian /home/debian/.ssh && umask 077 &&"
        " cat > /home/debian/.ssh/authorized_keys && chown debian: /home/debian/.ssh/authorized_keys"
    )
    output(["docker", "exec", "-i", host.container, "sh", "-c", command], stdin=public)


def _host_key(host: Host) -> str:
    """Read the host's key over the engine, which is a way that nobody else can answer on."""
    path = "/etc/ssh/ssh_host_ed25519_key.pub"
    return output(["docker", "exec", host.container, "cat", path])


def start_hosts(say: Say) -> str:
    """Make or start the hosts, and return when each lets us in by SSH."""
    if shutil.which("ssh") is None:
        install_packages(["openssh-client"], "The demo's hosts are reached by SSH")
    _ensure_network(say)
    public = _key()
    started = []
    for host in HOSTS:
        state = _state(host.container)
        if state == "running":
            continue
        started.append(host.name)
        if state:
            say(f"starting {host.name} again ({state})")
            # Frozen is a state that start does not end.
            output(["docker", "unpause" if state == "paused" else "start", host.container])
        else:
            say(f"making {host.name} ({host.release}, {host.address})")
            _create(host)
    for host in HOSTS:
        _wait_for_boot(host)
        _let_in(host, public)
    KNOWN_HOSTS.write_text(
        known_hosts((host.address, _host_key(host)) for host in HOSTS), encoding="utf-8"
    )
    for host in HOSTS:
        _wait_for_ssh(host)
    names = ", ".join(host.name for host in HOSTS)
    return f"{names} let us in by SSH" + ("" if started else " (they ran already)")


def _wait_for_ssh(host: Host) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            output(["ssh", *ssh_options(), f"{USER}@{host.address}", "sudo -n true"], timeout=15)
        except LabError as error:
            if time.monotonic() > deadline:
                raise LabError(f"{host.name} does not let us in by SSH. {error}") from error
            time.sleep(0.5)
        else:
            return


def remove_hosts() -> list[str]:
    """Remove what carries the demo's label; return the names."""
    listing = ["docker", "ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}"]
    names = output(listing).split()
    if names:
        output(["docker", "rm", "--force", "--volumes", *names])
    networks = output(
        ["docker", "network", "ls", "--filter", f"label={LABEL}", "--format", "{{.Name}}"]
    ).split()
    for network in networks:
        output(["docker", "network", "rm", network])
    shutil.rmtree(DEMO, ignore_errors=True)
    return names + networks
