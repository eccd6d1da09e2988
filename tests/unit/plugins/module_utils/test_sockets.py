# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This process's own sockets, as the kernel shows them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import (
    Socket,
    SocketTable,
    parse_endpoint,
)

ME = os.getpid()


@contextmanager
def opened(
    kind: int, address: str, family: int = socket.AF_INET
) -> Iterator[tuple[socket.socket, int]]:
    with socket.socket(family, kind) as item:
        item.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            item.listen()
        yield item, item.getsockname()[1]


def seen() -> set[str]:
    return {str(item) for item in SocketTable().of([ME])}


def test_each_kind_of_socket() -> None:
    with ExitStack() as stack:
        _socket, tcp = stack.enter_context(opened(socket.SOCK_STREAM, "127.0.0.1"))
        _socket, wide = stack.enter_context(opened(socket.SOCK_STREAM, "0.0.0.0"))
        _socket, udp = stack.enter_context(opened(socket.SOCK_DGRAM, "127.0.0.1"))
        assert {f"127.0.0.1:{tcp}", f"*:{wide}", f"127.0.0.1:{udp}/udp"} <= seen()
    assert not {f"127.0.0.1:{tcp}", f"*:{wide}", f"127.0.0.1:{udp}/udp"} & seen()


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp6"), reason="this machine has no IPv6")  # noqa: PTH110
def test_ipv6() -> None:
    with ExitStack() as stack:
        _socket, loopback = stack.enter_context(opened(socket.SOCK_STREAM, "::1", socket.AF_INET6))
        _socket, every = stack.enter_context(opened(socket.SOCK_STREAM, "::", socket.AF_INET6))
        _socket, mapped = stack.enter_context(
            opened(socket.SOCK_STREAM, "::ffff:127.0.0.1", socket.AF_INET6)
        )
        assert {f"[::1]:{loopback}", f"*:{every}", f"127.0.0.1:{mapped}"} <= seen()


def test_clients_do_not_count() -> None:
    with ExitStack() as stack:
        _socket, port = stack.enter_context(opened(socket.SOCK_STREAM, "127.0.0.1"))
        before = seen()
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        asking = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        asking.connect(("127.0.0.1", 53))
        assert client.getsockname()[1] != port
        assert seen() == before


def test_other_processes_do_not_count() -> None:
    serve = (
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
        "print(s.getsockname()[1], flush=True); input()"
    )
    with (
        opened(socket.SOCK_STREAM, "127.0.0.1") as (_socket, mine),
        subprocess.Popen(
            [sys.executable, "-c", serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stdout is not None
        port = int(child.stdout.readline())
        assert SocketTable().of([child.pid]) == [
            Socket(protocol="tcp", address="127.0.0.1", port=port)
        ]
        assert f"127.0.0.1:{mine}" in seen()
        assert f"127.0.0.1:{port}" not in seen()
        child.communicate("\n")
    assert SocketTable().of([2**22 + 1]) == []


def test_who_holds_a_port() -> None:
    table = SocketTable()
    with opened(socket.SOCK_STREAM, "0.0.0.0") as (_socket, port):
        wanted = Socket(protocol="tcp", address="127.0.0.1", port=port)
        assert f"(pid {ME})" in table.holder(wanted)
        assert table.holder(wanted, but=[ME]) == ""
        assert table.holder(Socket(protocol="udp", address="127.0.0.1", port=port)) == ""
    assert table.holder(wanted) == ""


def test_resident_memory_is_plausible() -> None:
    assert 5_000_000 < SocketTable().resident_bytes([ME]) < 5_000_000_000
    assert SocketTable().resident_bytes([2**22 + 1]) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9090", ("127.0.0.1", 9090)),
        ("[::1]:9090", ("::1", 9090)),
        ("[0:0:0:0:0:0:0:1]:9090", ("::1", 9090)),
        ("*:9100", ("*", 9100)),
        ("0.0.0.0:9100", ("*", 9100)),
        ("[::]:9100", ("*", 9100)),
        ("[::ffff:10.0.0.1]:1", ("10.0.0.1", 1)),
    ],
)
def test_endpoints(text: str, expected: tuple[str, int]) -> None:
    assert parse_endpoint(text, option="listen") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9090",
        ":9090",
        "localhost:9090",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:70000",
        "::1:90",
        "300.0.0.1:1",
    ],
)
def test_bad_endpoints(text: str) -> None:
    with pytest.raises(InputError, match="listen: expected address:port"):
        parse_endpoint(text, option="listen")
