"""A host with an attacker behind a cable, in a network namespace of its own."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from typing import Any

from lab.sample_api.koprogo_api.logline import request_line
from tests.integration.ask import get, wait_for
from tests.integration.boxes import Box, docker
from tests.integration.each import on_each

__all__ = ["API_LOG", "ATTACKER", "ATTACKER6", "STORE", "Victim", "every_victim", "on_each_victim"]

ATTACKER = "198.51.100.66"
ATTACKER6 = "fd42:66::66"
_NAMES = ("detect-box12", "detect-box13")
API_LOG = "/var/log/koprogo/api.log"
# One connection attempt; a ban drops it silently.
_KNOCK = (
    "import socket,sys;"
    "s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET);"
    "s.settimeout(1);s.bind((sys.argv[3],0));s.connect((sys.argv[1],int(sys.argv[2])))"
)


def _shortest(text: str) -> str:
    """An address as people write it; Suricata's have all their zeros."""
    return str(ip_network(text, strict=False)).removesuffix("/32").removesuffix("/128")


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

    def reported(self, address: str) -> set[str]:
        """Scenarios of CrowdSec that speak of an address, whether it is banned for them or not."""
        found = json.loads(self.sh("cscli alerts list --limit 0 -o json 2>/dev/null")) or []
        return {
            one["scenario"]
            for one in found
            if (value := one["source"].get("value")) and _shortest(value) == address
        }

    def counted(self, table: str = "koprogo_fail2ban") -> int:
        """Packets that the rules of a table have counted; those of the jails drop them."""
        listing = json.loads(self.sh(f"nft -j list table inet {table}"))
        expressions = [p for e in listing["nftables"] for p in e.get("rule", {}).get("expr", [])]
        return sum(p.get("counter", {}).get("packets", 0) for p in expressions)

    def gauge(self, name: str) -> float:
        """A gauge as the host's node exporter serves it; nobody makes the watch look."""
        lines = get(self, "http://127.0.0.1:9100/metrics").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def wait_for_gauges(self, value: float, *names: str, seconds: float = 60) -> None:
        """Wait until each watch has looked again, by itself, and found a value."""
        # It writes whole seconds.
        began = int(time.time()) + 1
        for name in names:
            wait_for(
                partial(self._shows, name, value, began),
                seconds=seconds,
                what=f"{name} {value:g} on {self.name}",
            )

    def _shows(self, name: str, value: float, began: int) -> bool:
        looked = f"koprogo_{name.split('_')[1]}_checked_timestamp_seconds"
        return self.gauge(name) == value and self.gauge(looked) >= began

    def wait_until_armed(self, *engines: str) -> None:
        """An engine that comes back needs some seconds until its watch is content."""
        self.wait_for_gauges(1, *(f"koprogo_{engine}_armed" for engine in engines))

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
