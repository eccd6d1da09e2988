# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose request is it? Pure, so that the trust decision is unit-tested."""

from __future__ import annotations

import ipaddress

__all__ = ["client_address"]


def _valid(address: str) -> str | None:
    try:
        return str(ipaddress.ip_address(address.strip()))
    except ValueError:
        return None


def client_address(peer: str, forwarded_for: str | None, trusted: frozenset[str]) -> str:
    """Return the address of the client.

    X-Forwarded-For counts only if the peer itself is a trusted proxy. It is read from the right,
    the side that our own proxies wrote: the first address that isn't a trusted proxy is the client.
    What stands left of it was written by the client and may be a lie. An unreadable entry ends the
    search at the last address that was proven.
    """
    address = _valid(peer) or "-"
    if not forwarded_for or address not in trusted:
        return address
    for part in reversed(forwarded_for.split(",")):
        hop = _valid(part)
        if hop is None:
            return address
        address = hop
        if hop not in trusted:
            return hop
    return address
