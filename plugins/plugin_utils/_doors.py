# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may knock at which door: addresses from the inventory, names resolved on the control node.

This file is private to the collection.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import address

__all__ = ["resolve", "resolved_doors"]

HostVars = Mapping[str, Mapping[str, Any]]
Resolver = Callable[[str], list[str]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def resolve(name: str) -> list[str]:
    """The IP addresses of a host name, IPv4 first; an address is its own. OSError when unknown."""
    try:
        return [str(ipaddress.ip_address(name.strip("[]")))]
    except ValueError:
        pass
    found = {entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    addresses = sorted(map(ipaddress.ip_address, found), key=lambda a: (a.version, int(a)))
    return [str(a) for a in addresses]


def _networks(source: str, hostvars: HostVars, resolver: Resolver) -> list[Network]:
    """A source is a host of the inventory, a network, an address or a name."""
    if source in hostvars:
        source = address(source, hostvars[source])
    try:
        return [ipaddress.ip_network(source, strict=False)]
    except ValueError:
        return [ipaddress.ip_network(found) for found in resolver(source)]


def _shown(networks: Iterable[Network], version: int) -> list[str]:
    # Overlapping elements are an error in an nftables set, so they are merged here.
    of_version: list[Any] = [n for n in networks if n.version == version]
    return [
        str(n.network_address) if n.num_addresses == 1 else str(n)
        for n in ipaddress.collapse_addresses(of_version)
    ]


def resolved_doors(
    doors: Mapping[str, Mapping[str, Any]], hostvars: HostVars, resolver: Resolver = resolve
) -> list[dict[str, Any]]:
    """Each door with its C(name), C(port) and the addresses that may pass: C(ipv4), C(ipv6).

    doors: name to C(port) and C(sources).
    Raises ValueError for a source that is no known host, address, network or name.
    """
    result = []
    for name, door in doors.items():
        networks: list[Network] = []
        for source in door["sources"]:
            try:
                networks += _networks(str(source), hostvars, resolver)
            except OSError as error:
                raise ValueError(
                    f"door '{name}': expected '{source}' to be a host of the inventory, an address, a "
                    f"network or a name that the control node can resolve, found: {error.strerror}"
                ) from error
        result.append(
            {
                "name": name,
                "port": int(door["port"]),
                "ipv4": _shown(networks, 4),
                "ipv6": _shown(networks, 6),
            }
        )
    return result
