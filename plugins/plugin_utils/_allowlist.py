# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is never banned: one list for fail2ban, CrowdSec and the ban modules.

This file is private to the collection.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2.exceptions import UndefinedError

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    address,
    resolve,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars

__all__ = ["allowlist", "entry_errors"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: A host that bans itself is down.
_LOOPBACK = ("127.0.0.0/8", "::1/128")
_NO_ADDRESS = (socket.EAI_NONAME, socket.EAI_NODATA)
#: Half of the internet on the list means that nobody is ever banned.
_WIDEST = {4: 8, 6: 16}


def _problem(entry: Any) -> str:
    try:
        network = ipaddress.ip_network(str(entry), strict=True)
    except ValueError as error:
        return f"expected an address or a network such as 192.0.2.0/24, found '{entry}' ({error})"
    if network.prefixlen < _WIDEST[network.version]:
        return (
            f"expected a network of at least /{_WIDEST[network.version]}, found '{entry}', "
            "which would let nearly everybody attack unbanned"
        )
    return ""


def entry_errors(option: str, entries: Any) -> list[str]:
    """One sentence for each entry of an allow-list that is no network, or far too wide."""
    if not isinstance(entries, (list, tuple)):
        return [f"{option}: expected a list of addresses and networks, found '{entries}'"]
    return [f"{option}: {problem}" for problem in map(_problem, entries) if problem]


def _of_host(
    host: str, variables: Mapping[str, Any], resolver: Callable[[str], list[str]]
) -> list[str]:
    try:
        return resolver(address(host, variables))
    except OSError as error:
        # A host that has no address by now can't be banned by one; a silent resolver says no such thing.
        if isinstance(error, socket.gaierror) and error.errno not in _NO_ADDRESS:
            raise ValueError(
                f"host {host}: expected its address, which is never banned, and its name could not be looked "
                f"up: {error.strerror}. Run again, or put koprogo_address into the inventory"
            ) from error
        return []
    except UndefinedError as error:
        raise ValueError(
            f"host {host}: expected koprogo_address, which is never banned, found none ({error}). "
            "Facts of hosts outside --limit are unknown: run without it, or put the address into the "
            "inventory"
        ) from error


def allowlist(
    entries: Iterable[str],
    hostvars: HostVars,
    control: Iterable[str],
    resolver: Callable[[str], list[str]] = resolve,
) -> list[str]:
    """The whole list, sorted: loopback, every host of the inventory, the control node, and C(entries).

    A fleet that bans one of its own hosts takes itself down: an API with an old password would be
    kept from its database.

    control: addresses that the control node is seen under. Raises ValueError for a bad entry and for a
    host whose address can't be told: without it the list would be shorter than before.
    """
    entries, control = list(entries), list(control)
    problems = entry_errors("koprogo_allowlist", entries) + entry_errors("control node", control)
    if problems:
        raise ValueError("; ".join(problems))
    fleet = [found for host in hostvars for found in _of_host(host, hostvars[host], resolver)]
    networks: list[Network] = [
        ipaddress.ip_network(text) for text in (*_LOOPBACK, *fleet, *control, *entries)
    ]
    merged: list[Network] = []
    for version in (4, 6):
        of_version: list[Any] = [n for n in networks if n.version == version]
        merged += ipaddress.collapse_addresses(of_version)
    return [str(n.network_address) if n.num_addresses == 1 else str(n) for n in merged]
