"""The control node's address, found through sudo."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._control_node import (
    client_address,
)


def process(proc: Path, pid: int, parent: int, environ: str = "") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "environ").write_bytes(environ.replace(";", "\0").encode())
    (folder / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ("A=b;SSH_CONNECTION=198.51.100.7 52000 192.0.2.1 22", "198.51.100.7"),
        ("SSH_CLIENT=2001:db8::7 52000 22", "2001:db8::7"),
        ("SSH_CONNECTION=::ffff:198.51.100.7 1 ::ffff:192.0.2.1 22", "198.51.100.7"),
        ("SSH_CONNECTION=fe80::1%eth0 1 fe80::2 22", "fe80::1"),
        ("SSH_CONNECTION=UNKNOWN 1 2 3", ""),
        ("A=b", ""),
    ],
)
def test_found_in_the_shell_above_sudo(tmp_path: Path, environ: str, expected: str) -> None:
    process(tmp_path, 1, 0)
    process(tmp_path, 10, 1, environ)
    process(tmp_path, 11, 10)
    process(tmp_path, 12, 11)
    assert client_address(tmp_path, "12") == expected


def test_a_process_that_is_gone_is_no_error(tmp_path: Path) -> None:
    process(tmp_path, 12, 11)
    assert client_address(tmp_path, "12") == ""
