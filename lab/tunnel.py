# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the demo's user interfaces: an SSH tunnel, as an engineer would open it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from lab.hosts import DEMO, HOSTS, USER, ssh_options
from lab.shell import LabError, answers, output
from lab.steps import Say

__all__ = ["DOORS", "Door", "check_ports", "close_tunnel", "local_port", "open_tunnel", "taken"]

# Relative, in the demo's folder: a socket's path may have 104 characters only.
_SOCKET = "tunnel.sock"


@dataclass(frozen=True)
class Door:
    """A port of mon1's loopback interface that the tunnel brings here."""

    name: str
    port: int


DOORS = (
    Door("Prometheus", 9090),
    Door("Grafana", 3001),
    Door("Loki", 3100),
    Door("Alertmanager", 9093),
)


def local_port(door: Door, offset: str | None = None) -> int:
    """Return the local port of a door."""
    text = offset if offset is not None else os.environ.get("KOPROGO_DEMO_PORT_OFFSET", "")
    try:
        port = door.port + int(text or "0")
    except ValueError as error:
        raise LabError(f"KOPROGO_DEMO_PORT_OFFSET: expected a number, found {text!r}.") from error
    if not 1024 <= port <= 65535:
        raise LabError(f"KOPROGO_DEMO_PORT_OFFSET: {port} is no port that a user may open.")
    return port


def taken(port: int) -> bool:
    """Say whether something listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _control(command: str) -> bool:
    """Tell the tunnel's SSH client something; say whether it heard."""
    if not (DEMO / _SOCKET).exists():
        return False
    return answers(["ssh", "-S", _SOCKET, "-O", command, "mon1"], cwd=DEMO, timeout=10)


def _is_open() -> bool:
    return _control("check")


def check_ports() -> None:
    """Fail early, with a sentence, when a local port is somebody else's."""
    if _is_open():
        return
    for door in DOORS:
        port = local_port(door)
        if taken(port):
            raise LabError(
                f"Port {port} of 127.0.0.1, wanted for {door.name}, is taken: stop what listens there"
                f" (`ss -ltnp sport = :{port}` names it), or move all ports of the demo:"
                " KOPROGO_DEMO_PORT_OFFSET=10000 make demo."
            )


def open_tunnel(say: Say) -> str:
    """Open the tunnel unless it is open; each door on 127.0.0.1."""
    if _is_open():
        return "open already"
    check_ports()
    say("opening the SSH tunnel to mon1")
    (DEMO / _SOCKET).unlink(missing_ok=True)
    mon1 = next(host for host in HOSTS if host.name == "mon1")
    forwards = []
    for door in DOORS:
        forwards += ["-L", f"127.0.0.1:{local_port(door)}:127.0.0.1:{door.port}"]
    options = ["-f", "-N", "-M", "-S", _SOCKET, "-o", "ExitOnForwardFailure=yes"]
    # Dies with the host instead of hanging.
    options += ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
    target = f"{USER}@{mon1.address}"
    output(["ssh", *options, *ssh_options(), *forwards, target], cwd=DEMO, timeout=30)
    return "open"


def close_tunnel() -> bool:
    """Close the tunnel; say whether it was open."""
    return _control("exit")
