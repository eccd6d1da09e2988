"""The lab's receivers of notifications on a scenario's host: started, asked, stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.integration.ask import wait_for
from tests.integration.boxes import Box, docker
from tests.integration.play import ROOT

__all__ = ["Receivers", "receiving"]

_RECORD = "/run/received"


@dataclass(frozen=True)
class Receivers:
    """What the receivers on a host wrote down."""

    box: Box

    def all(self) -> list[dict[str, Any]]:
        """Every request, oldest first."""
        return [json.loads(line) for line in self.box.sh(f"cat {_RECORD}").splitlines()]

    def of(self, service: str) -> list[dict[str, Any]]:
        """The requests to one service."""
        return [entry for entry in self.all() if entry["service"] == service]


@contextlib.contextmanager
def receiving(box: Box, listen: str, *flags: str) -> Iterator[Receivers]:
    """All receivers on one port of a host while the block runs."""
    docker("exec", box.name, "rm", "-rf", "/opt/receivers")
    docker("cp", str(ROOT / "lab" / "receivers"), f"{box.name}:/opt/receivers")
    box.sh(f"rm -f {_RECORD}; touch {_RECORD}")
    unit = ["systemd-run", "--quiet", "--collect", "--unit=receivers", "--working-directory=/opt"]
    command = ["python3", "-B", "-m", "receivers", "--listen", listen, "--record", _RECORD]
    docker("exec", box.name, *unit, *command, *flags)
    port = listen.rpartition(":")[2]
    try:
        wait_for(lambda: f":{port} " in box.sh("ss -Hltn"), seconds=15, what="receivers")
        yield Receivers(box)
    finally:
        box.sh("systemctl stop receivers")
