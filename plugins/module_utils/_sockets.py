# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Which TCP and UDP sockets processes serve, from the kernel's own tables."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["Socket", "SocketTable", "parse_endpoint"]

_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)|(\*)):(\d{1,5})")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
# State of the socket that serves: LISTEN for TCP; unconnected for UDP, so that the
# sockets of a name lookup under way do not count.
_SERVING = {"tcp": "0A", "udp": "07"}
_TABLES = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))
_KIBIBYTE = 1024


@dataclass(frozen=True, kw_only=True, order=True)
class Socket:
    """A serving socket. IPv6 addresses carry no brackets; ``*`` is every address."""

    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        """The form used in messages: address:port, and the protocol if it is not TCP."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}" + ("" if self.protocol == "tcp" else f"/{self.protocol}")


def parse_endpoint(text: str, *, option: str) -> tuple[str, int]:
    """Read ``127.0.0.1:9090``, ``[::1]:9090`` or ``*:9090``."""
    match = _ENDPOINT.fullmatch(text.strip())
    try:
        if match is None or not 0 < int(match.group(4)) < 65536:
            raise ValueError
        literal = match.group(1) or match.group(2)
        address = _canonical(ipaddress.ip_address(literal)) if literal else "*"
    except ValueError:
        raise InputError(
            f"{option}: expected address:port such as 127.0.0.1:9090 or [::1]:9090, found '{text}'."
        ) from None
    return address, int(match.group(4))


def _canonical(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """One spelling for each address; a socket on :: or 0.0.0.0 is as open as the other."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return "*" if address.is_unspecified else str(address)


class SocketTable:
    """Reads /proc; ``proc`` exists for tests."""

    def __init__(self, proc: str = "/proc") -> None:
        """Nothing is read yet."""
        self._proc = proc

    def of(self, pids: Iterable[int]) -> list[Socket]:
        """Return what these processes serve."""
        found: set[Socket] = set()
        tables: dict[str, list[tuple[str, Socket]]] = {}
        for pid in pids:
            inodes = self._inodes(pid)
            if not inodes:
                continue
            # One table for each network namespace, however many processes: it may be long.
            namespace = _io.read_link(f"{self._proc}/{pid}/ns/net") or str(pid)
            if namespace not in tables:
                tables[namespace] = list(self._table(pid))
            found |= {socket for inode, socket in tables[namespace] if inode in inodes}
        return sorted(found)

    def holder(self, wanted: Socket, *, but: Iterable[int] = ()) -> str:
        """Return name and pid of the other process that serves a port, empty if there is none."""
        clashing = {
            inode
            for inode, socket in self._table("self")
            if (socket.protocol, socket.port) == (wanted.protocol, wanted.port)
            and (socket.address == wanted.address or "*" in (socket.address, wanted.address))
        }
        if not clashing:
            return ""
        if any(clashing & self._inodes(pid) for pid in but):
            return ""
        for name in _io.list_directory(self._proc):
            if name.isdigit() and clashing & self._inodes(int(name)):
                command = (_io.read_text(f"{self._proc}/{name}/comm") or "?").strip()
                return f"{command} (pid {name})"
        return "another process"

    def resident_bytes(self, pids: Iterable[int]) -> int:
        """Return the resident memory of the processes together; shared pages count for each."""
        total = 0
        for pid in pids:
            try:
                text = _io.read_text(f"{self._proc}/{pid}/status") or ""
            except OSError:
                continue
            match = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
            total += int(match.group(1)) * _KIBIBYTE if match else 0
        return total

    def _inodes(self, pid: int) -> set[str]:
        folder = f"{self._proc}/{pid}/fd"
        found = set()
        try:
            for name in _io.list_directory(folder):
                match = _SOCKET.fullmatch(_io.read_link(f"{folder}/{name}") or "")
                if match:
                    found.add(match.group(1))
        except OSError:  # ended meanwhile
            return found
        return found

    def _table(self, pid: int | str) -> Iterator[tuple[str, Socket]]:
        for table, protocol in _TABLES:
            try:
                rows = (_io.read_text(f"{self._proc}/{pid}/net/{table}") or "").splitlines()[1:]
            except OSError:
                continue
            for row in rows:
                fields = row.split()
                if len(fields) > 9 and fields[3] == _SERVING[protocol]:
                    address, _colon, port = fields[1].partition(":")
                    yield (
                        fields[9],
                        Socket(protocol=protocol, address=_address(address), port=int(port, 16)),
                    )


def _address(text: str) -> str:
    """Decode the kernel's hexadecimal address: 32-bit words in the host's byte order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    return _canonical(ipaddress.ip_address(raw))
