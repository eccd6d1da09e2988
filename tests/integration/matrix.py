"""The attack matrix: of each kind of attack what sees it, what tells of it, who bans, and how that is lifted.

docs/security.md has it as a table; scenario detection proves every cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle, islice

from tests.integration.attacks import ATTACKS, Attack, raw_request
from tests.integration.guesses import login, ssh
from tests.integration.target import send
from tests.integration.victim import Victim

__all__ = ["HEAD", "MATRIX", "Kind"]

Assault = Callable[[Victim, tuple[str, ...]], object]

HEAD = ("attack", "seen by", "in Loki", "`AttackDetected`, `attack=`", "ban", "lifted by")
#: More than AttackDetected's threshold, in one connection of an address that is banned soon after.
_TIMES = 12
#: More bans of one jail than AttackDetected's threshold.
_BANNED = 4
#: More than suricata_scan_ports, and none that strangers have a reason to try.
_SCAN = """
import socket, sys
for source in sys.argv[1:]:
    for port in range(20000, 20025):
        s = socket.socket(); s.bind((source, 0)); s.settimeout(0.5)
        s.connect_ex(("198.51.100.1", port)); s.close()
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of attack: a row of the table, and how a test attacks."""

    name: str
    seen_by: str
    query: str
    label: str
    #: The reason in the list of bans; empty where nobody is banned for it alone.
    decision: str
    lasts: str
    lift: str
    sources: tuple[str, ...]
    assault: Assault
    port: int = 22

    def row(self) -> tuple[str, ...]:
        """Its row of the table."""
        ban = f"`{self.decision}`, {self.lasts}" if self.decision else self.lasts
        query = self.query.replace("|", "\\|")
        return self.name, self.seen_by, f"`{query}`", self.label, ban, f"`{self.lift}`"


def _addresses(first: int, count: int) -> tuple[str, ...]:
    return tuple(f"198.51.100.{last}" for last in range(first, first + count))


def _requests(attacks: Iterable[Attack]) -> Assault:
    raws = [raw_request("POST" if one.body else "GET", one.path, one.body) for one in attacks]

    def assault(box: Victim, sources: tuple[str, ...]) -> None:
        send(box, [(source, list(islice(cycle(raws), _TIMES))) for source in sources])

    return assault


def _seen(first: int, last: int) -> list[Attack]:
    """Attacks that break no other rules than these."""
    rules = range(9100000 + first, 9100000 + last + 1)
    return [one for one in ATTACKS if all(sid in rules for sid in one.sids)]


def _intrusion(
    name: str,
    label: str,
    rules: str,
    *,
    sources: tuple[str, ...],
    assault: Assault,
    ban: bool = True,
) -> Kind:
    return Kind(
        name=name,
        seen_by=f"Suricata, `{rules}`",
        query=f'{{job="suricata"}} | json sid="alert.signature_id" | sid=~"{rules}"',
        label=label,
        decision="crowdsecurity/suricata-major-severity" if ban else "",
        lasts="4 hours" if ban else "by hand: a first packet's sender can be forged",
        lift="cscli decisions delete --ip ADDRESS",
        sources=sources,
        assault=assault,
    )


def _guesses(
    name: str, jail: str, lasts: str, *, first: int, assault: Assault, port: int = 22
) -> Kind:
    return Kind(
        name=name,
        seen_by=f"fail2ban, jail `{jail}`",
        query=f'{{job="fail2ban"}} |= "[{jail}] Ban "',
        label=jail,
        decision=f"fail2ban {jail}",
        lasts=lasts,
        lift=f"fail2ban-client set {jail} unbanip ADDRESS",
        sources=_addresses(first, _BANNED),
        assault=assault,
        port=port,
    )


def _each(work: Callable[[Victim, str], object]) -> Assault:
    def assault(box: Victim, sources: tuple[str, ...]) -> None:
        for source in sources:
            work(box, source)

    return assault


_SQL = "SQL injection"
_TRAVERSAL = _seen(41, 43)
MATRIX = (
    _intrusion(
        "SQL injection, address",
        _SQL,
        "910000[1-7]",
        sources=_addresses(71, 1),
        assault=_requests(_seen(1, 7)),
    ),
    _intrusion(
        "SQL injection, body",
        _SQL,
        "910000[89]",
        sources=_addresses(72, 1),
        assault=_requests(_seen(8, 9)),
    ),
    _intrusion(
        "Cross-site scripting",
        "XSS",
        "910002[1-4]",
        sources=_addresses(73, 1),
        assault=_requests(_seen(21, 24)),
    ),
    _intrusion(
        "Path traversal, plain",
        "path traversal",
        "910004[1-3]",
        sources=_addresses(74, 1),
        assault=_requests(one for one in _TRAVERSAL if "%" not in one.path),
    ),
    _intrusion(
        "Path traversal, encoded",
        "path traversal",
        "910004[1-3]",
        sources=_addresses(75, 1),
        assault=_requests(one for one in _TRAVERSAL if "%" in one.path),
    ),
    _intrusion(
        "Port scan",
        "port scan",
        "9100061",
        # One alert for each address.
        sources=_addresses(84, _TIMES),
        assault=lambda box, sources: box.attack("python3", "-c", _SCAN, *sources),
        ban=False,
    ),
    _guesses(
        "Passwords over SSH",
        "sshd",
        "10 minutes",
        first=76,
        assault=_each(lambda box, source: ssh(box, source, 10)),
    ),
    _guesses(
        "Flood of API requests",
        "api-abuse",
        "1 hour",
        first=66,
        assault=_each(lambda box, source: box.requests(100, source)),
    ),
    _guesses(
        "Passwords of PostgreSQL",
        "postgresql",
        "1 hour",
        first=80,
        assault=_each(lambda box, source: login(box, source, 10)),
        port=5432,
    ),
)
