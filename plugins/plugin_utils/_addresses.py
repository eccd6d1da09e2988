# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By which address a host is reached, and how that is written.

This file is private to the collection.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

__all__ = ["address", "endpoint", "known_addresses", "resolve"]


def address(host: str, hostvars: Mapping[str, Any]) -> str:
    """The address other hosts reach C(host) by: C(koprogo_address), else C(ansible_host), else its name."""
    return str(hostvars.get("koprogo_address") or hostvars.get("ansible_host") or host)


def endpoint(name: str, port: object) -> str:
    """C(name:port); an IPv6 address in the brackets that every daemon expects."""
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def resolve(name: str) -> list[str]:
    """The IP addresses of a host name; an address is its own. OSError when unknown.

    IPv4 comes first. Loopback comes last: a host that is its own control node often knows its name by that
    (Debian's installer writes 127.0.1.1 into /etc/hosts), and nobody else reaches it there.
    """
    try:
        return [str(ipaddress.ip_address(name.strip("[]")))]
    except ValueError:
        pass
    found = {entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    addresses = sorted(
        map(ipaddress.ip_address, found), key=lambda a: (a.is_loopback, a.version, int(a))
    )
    return [str(a) for a in addresses]


def known_addresses(name: str) -> list[str]:
    """As C(resolve), but nothing for an unknown name, which preflight refuses."""
    try:
        return resolve(name)
    except OSError:
        return []
