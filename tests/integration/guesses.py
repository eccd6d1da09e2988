"""Guessed passwords, each try a real one: of sshd, and of the database."""

from __future__ import annotations

import shlex
import time

from tests.integration.victim import Victim

__all__ = ["login", "ssh"]


def _tried(box: Victim, source: str) -> int:
    """How often sshd has refused an address by now."""
    # By its name: journald can't tell the unit of a process that has already ended.
    lines = box.sh("journalctl -t sshd -t sshd-session -o cat --no-pager").splitlines()
    return sum(line.startswith("Invalid user") and f" from {source} " in line for line in lines)


def ssh(box: Victim, source: str, tries: int) -> None:
    """Fail to sign in until sshd has said so as often; a busy machine loses a connection now and then."""
    target = box.gateway[6 if ":" in source else 4]
    wanted = _tried(box, source) + tries
    deadline = time.monotonic() + 60
    while (missing := wanted - _tried(box, source)) > 0:
        assert time.monotonic() < deadline, (
            f"{box}: {source} could try {tries - missing} times only"
        )
        # Who is banned in the middle of a connection would wait for ever.
        command = (
            f"for i in $(seq {missing}); do timeout 15 ssh -o BatchMode=yes -o StrictHostKeyChecking=no "
            f"-o ConnectTimeout=10 -o BindAddress={source} -o LogLevel=ERROR nobody-$i@{target} true; "
            "done; sleep 0.3"
        )
        box.attack("sh", "-c", command)


def login(box: Victim, source: str, tries: int, user: str = "koprogo") -> None:
    """Fail to sign in to the database."""
    # Whoever is banned in the middle of it gets no answer any more.
    connect = (
        f"hostaddr={box.gateway[6 if ':' in source else 4]} user='{user}' password=wrong "
        "dbname=koprogo_db sslmode=disable connect_timeout=5"
    )
    # psql can't choose its own address; a route can. Of IPv6 there is one only.
    if ":" not in source:
        box.attack("ip", "route", "replace", "198.51.100.0/24", "dev", "eth0", "src", source)
    loop = f"for i in $(seq {tries}); do psql {shlex.quote(connect)} -c 'select 1'; done"
    box.attack("sh", "-c", loop)
