"""A host with an attacker behind a cable, in a network namespace of its own."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.sample_api.koprogo_api.logline import request_line
from tests.integration.ask import get, wait_for
from tests.integration.boxes import Box, docker
from tests.integration.each import on_each

__all__ = ["API_LOG", "ATTACKER", "STORE", "Victim", "every_victim", "on_each_victim"]

ATTACKER = "198.51.100.66"
_NAMES = ("detect-box12", "detect-box13")
API_LOG = "/var/log/koprogo/api.log"
# One connection attempt; a ban drops it silently.
_KNOCK = (
    "import socket,sys;"
    "s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET);"
    "s.settimeout(1);s.bind((sys.argv[3],0));s.connect((sys.argv[1],int(sys.argv[2])))"
)


@dataclass(frozen=True)
class Victim(Box):
    """A host with an attacker in a network namespace beside it."""

    gateway: dict[int, str] = field(
        default_factory=lambda: {4: "198.51.100.1", 6: "fd42:66::1"}, hash=False, compare=False
    )

    def attack(self, *argv: str, check: bool = False) -> str:
        """Run a command as the attacker."""
        inside = ("ip", "netns", "exec", "attacker", *argv)
        return docker("exec", self.name, *inside, check=check)

    def check_output(self, command: str, *_arguments: str) -> str:
        """Standard output of a command that must succeed: what C(ask) wants of a host."""
        return self.sh(command)

    def reaches(self, source: str = ATTACKER, port: int = 22) -> bool:
        """Whether a connection from one of the attacker's addresses is accepted."""
        target = self.gateway[6 if ":" in source else 4]
        answer = self.attack("python3", "-c", _KNOCK, target, str(port), source)
        return not answer.strip()

    def banned(self, jail: str) -> set[str]:
        """Addresses that a jail has banned now."""
        # No answer while it starts again.
        text = self.sh(f"fail2ban-client status {jail}", check=False)
        return set(text.partition("Banned IP list:")[2].split())

    def decisions(self) -> dict[str, str]:
        """Reason of each ban by address, in the one list of them; what only reports is no ban."""
        found = json.loads(self.sh("cscli decisions list -o json 2>/dev/null")) or []
        every = [decision for alert in found for decision in alert["decisions"]]
        return {one["value"]: one["scenario"] for one in every if not one.get("simulated")}

    def dropped(self, table: str = "koprogo_fail2ban") -> int:
        """Packets that the rules of a table have dropped."""
        listing = json.loads(self.sh(f"nft -j list table inet {table}"))
        expressions = [p for e in listing["nftables"] for p in e.get("rule", {}).get("expr", [])]
        return sum(p.get("counter", {}).get("packets", 0) for p in expressions)

    def gauge(self, name: str) -> float:
        """A gauge as the host's node exporter serves it, after another look of the watch."""
        self.sh(f"systemctl start koprogo-{name.split('_')[1]}-watch.service")
        lines = get(self, "http://127.0.0.1:9100/metrics").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def wait_until_armed(self, engine: str) -> None:
        """An engine that comes back needs some seconds until its watch is content."""
        name = f"koprogo_{engine}_armed"
        wait_for(lambda: self.gauge(name) == 1, seconds=40, what=f"{name} on {self.name}")

    def unban_all(self) -> None:
        """Give everybody access again, whoever banned."""
        self.sh("fail2ban-client unban --all && cscli decisions delete --all")

    def requests(self, count: int, address: str, **fields: Any) -> None:
        """Write lines of equal requests from one address as the API does."""
        self.log([{"remote_addr": address, **fields}] * count)

    def log(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """Write lines of answered requests as the API does, from the fields that matter."""
        usual: dict[str, Any] = {
            "method": "GET",
            "path": "/api/v1/buildings",
            "route": "/api/v1/buildings",
            "status": 200,
            "duration_ms": 4.2,
            "user_agent": "Mozilla/5.0",
            "request_id": "0",
            "message": "GET /api/v1/buildings answered 200",
        }
        now = time.time()
        lines = "".join(request_line(moment=now, **{**usual, **one}) + "\n" for one in requests)
        docker("exec", "-i", self.name, "sh", "-c", f"cat >> {shlex.quote(API_LOG)}", stdin=lines)


#: The store of both hosts' lines and figures.
STORE = Victim(_NAMES[1])


def every_victim() -> list[Victim]:
    """The scenario's hosts, one of each release."""
    return [Victim(name) for name in _NAMES]


on_each_victim = on_each(every_victim)
