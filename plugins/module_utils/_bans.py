# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Bans of one host, whoever made them: CrowdSec's decisions, fail2ban's jails, and what nftables drops."""

from __future__ import annotations

import ast
import ipaddress
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._control_node import (
    client_address,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ConflictError,
    InputError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

__all__ = ["ALLOWLISTS", "USUAL", "Bans", "parsed_address", "parsed_duration", "remaining"]

#: What the roles write: addresses and networks that are never banned, one a line.
ALLOWLISTS = ("/etc/koprogo/fail2ban/allowlist", "/etc/koprogo/crowdsec/allowlist")
#: The tables that drop who is banned.
_TABLES = {("inet", "koprogo_fail2ban"), ("ip", "crowdsec"), ("ip6", "crowdsec6")}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SECONDS = (86_400, 3_600, 60, 1)
#: Jails that the role makes, and whose bans nftables enforces.
_JAILS = ("api-abuse", "postgresql", "sshd")
#: Seconds of a ban for which nobody asked for another time: as long as CrowdSec's own.
USUAL = 4 * 3600
#: As fail2ban writes a ban: the address, its beginning, and its end in the host's own time.
_BAN = re.compile(r"(\S+)\s+\S+ \S+ \+ \d+ = (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")

Row = dict[str, Any]


def parsed_address(text: str) -> str:
    """A single address in its shortest form; InputError for anything else.

    One that a service with a socket for both writes as IPv6 is the IPv4 address that packets come from.
    """
    try:
        found = ipaddress.ip_address(text.strip())
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return str(mapped or found)
    except ValueError as error:
        raise InputError(
            f"address: expected one IPv4 or IPv6 address, found '{text}' ({error})."
        ) from error


def parsed_duration(text: str) -> int:
    """Seconds in a duration such as 90m or 1d12h."""
    match = _DURATION.fullmatch(text)
    seconds = sum(
        int(part) * unit
        for part, unit in zip(match.groups() if match else (), _SECONDS, strict=False)
        if part
    )
    if not seconds:
        raise InputError(f"duration: expected a duration such as 90m, 4h or 1d, found '{text}'.")
    return seconds


def remaining(rows: Iterable[Row]) -> float:
    """Seconds that the longest of some bans still lasts, infinity where nobody says."""
    parts = {"h": 3600, "m": 60, "s": 1}
    spans = [
        sum(
            float(n) * parts[unit]
            for n, unit in re.findall(r"([\d.]+)([hms])(?!s)", row["remaining"])
        )
        for row in rows
        if row["remaining"]
    ]
    return max(spans, default=float("inf"))


def _written(seconds: int) -> str:
    """A duration as C(parsed_duration) reads it."""
    parts, rest = [], seconds
    for unit, letter in zip(_SECONDS, "dhms", strict=True):
        count, rest = divmod(rest, unit)
        parts += [f"{count}{letter}"] if count else []
    return "".join(parts)


class Bans:
    """The host's bans. Times are in seconds."""

    def __init__(
        self,
        runner: Runner,
        *,
        allowlists: Iterable[str] = ALLOWLISTS,
        sleep: Callable[[float], None] = time.sleep,
        client: Callable[[], str] = client_address,
    ) -> None:
        """Nothing is asked yet; the other arguments exist for tests."""
        self._runner = runner
        self._allowlists = tuple(allowlists)
        self._sleep = sleep
        self._client = client
        self._listed: Result | None = None

    # Reading

    def rows(self) -> list[Row]:
        """Every ban, one row each: address, source, jail or scenario, reason, remaining time."""
        return self._decisions() + self._jailed()

    def of(self, address: str) -> list[Row]:
        """The bans of one address."""
        return [row for row in self.rows() if row["address"] == address]

    def _list(self) -> Result:
        # Without a limit of its own it shows the newest hundred.
        argv = ["cscli", "decisions", "list", "--limit", "0", "-o", "json"]
        self._listed = self._runner.run(argv, timeout=30)
        return self._listed

    def _decisions(self) -> list[Row]:
        result = self._list()
        if not result.ok:
            return []
        return [
            {
                "address": _shortest(decision["value"]),
                "source": "crowdsec",
                "reason": decision.get("scenario", ""),
                "origin": decision.get("origin", ""),
                "remaining": decision.get("duration", ""),
            }
            for alert in json.loads(result.stdout or "null") or []
            for decision in alert.get("decisions") or []
            if decision.get("type") == "ban" and not decision.get("simulated")
        ]

    def _jailed(self) -> list[Row]:
        result = self._runner.run(["fail2ban-client", "banned"], timeout=30)
        if not result.ok:
            return []
        return [
            {
                "address": _shortest(str(address)),
                "source": "fail2ban",
                "reason": f"fail2ban {jail}",
                "origin": jail,
                "remaining": ends.get(str(address), ""),
            }
            for entry in ast.literal_eval(result.stdout.strip() or "[]")
            for jail, addresses in entry.items()
            for ends in [self._ends(jail) if addresses else {}]
            for address in addresses
        ]

    def _ends(self, jail: str) -> dict[str, str]:
        """How long each ban of a jail still lasts, by address; one without an end is not named."""
        listing = self._runner.run(
            ["fail2ban-client", "get", jail, "banip", "--with-time"], timeout=30
        )
        now = time.time()
        return {
            address: f"{max(0, time.mktime(time.strptime(end, '%Y-%m-%d %H:%M:%S')) - now):.0f}s"
            for address, end in _BAN.findall(listing.stdout if listing.ok else "")
        }

    def dropped(self, address: str) -> bool:
        """Whether nftables drops what comes from an address: a set has it, and a rule drops by that set.

        A table that lets it in by another set, the allow-list, does so before it drops.
        """
        listing = self._runner.run(["nft", "-j", "list", "ruleset"], timeout=30)
        if not listing.ok:
            return False
        holding: set[tuple[Any, Any, str]] = set()
        asked: dict[str, set[tuple[Any, Any, str]]] = {"accept": set(), "drop": set()}
        for entry in json.loads(listing.stdout or "{}").get("nftables", []):
            found, rule = entry.get("set", {}), entry.get("rule", {})
            place = (found or rule).get("family"), (found or rule).get("table")
            if place in _TABLES and _holds(found, address):
                holding.add((*place, found["name"]))
            expressions = rule.get("expr", [])
            rights = [str(e.get("match", {}).get("right", "")) for e in expressions]
            for verdict, sets in asked.items():
                if any(verdict in e for e in expressions):
                    sets |= {(*place, right[1:]) for right in rights if right.startswith("@")}
        let_in = {one[:2] for one in holding & asked["accept"]}
        return any(one[:2] not in let_in for one in holding & asked["drop"])

    # Guarding

    def refuse_if_allowed(self, address: str) -> None:
        """ConflictError for an address that must never be banned."""
        if address == self._client():
            raise ConflictError(
                f"{address} is the address that this host sees the control node under. Nothing was changed: "
                "a ban would lock you out.",
                address=address,
            )
        wanted = ipaddress.ip_address(address)
        if wanted.is_loopback or wanted.is_unspecified or wanted.is_multicast:
            raise ConflictError(
                f"{address} is no address that anybody attacks from.", address=address
            )
        for path in self._allowlists:
            for line in (_io.read_text(path) or "").split():
                network = ipaddress.ip_network(line, strict=False)
                if wanted.version == network.version and wanted in network:
                    raise ConflictError(
                        f"{address} is on the allow-list ({line} in {path}). Nothing was changed; take it "
                        "from koprogo_allowlist first if it really attacks.",
                        address=address,
                        entry=line,
                    )

    # Acting

    def span(self, seconds: int | None) -> int:
        """How long a ban would last now: as long as asked, else as long as whoever can ban does by custom.

        ServiceError where C(ban) would be refused.
        """
        # Whether CrowdSec answers was seen a moment ago, when its bans were read; one that hangs takes long.
        listed = self._listed or self._list()
        return (seconds or USUAL) if listed.ok else self._jail(seconds, listed.output)[1]

    def ban(self, address: str, *, seconds: int | None, reason: str) -> tuple[str, list[str]]:
        """Ban an address; return who enforces it, and what it can't do.

        CrowdSec keeps reason and time, so it comes first. fail2ban keeps no reason, and has one time for
        each jail: without C(seconds) it is the longest.
        """
        duration = f"{seconds or USUAL}s"
        options = ("--ip", address, "--type", "ban", "--duration", duration, "--reason", reason)
        added = self._runner.run(["cscli", "decisions", "add", *options], timeout=30)
        owner, notes = "crowdsec", []
        if not added.ok:
            owner, (jail, span) = "fail2ban", self._jail(seconds, added.output)
            self._runner.run(
                ["fail2ban-client", "set", jail, "banip", address], timeout=30, check=True
            )
            why = "as asked" if seconds else f"the longest it can, instead of {_written(USUAL)}"
            notes.append(
                f"CrowdSec doesn't answer: fail2ban's jail {jail} keeps {address} out, for {_written(span)}, "
                f"{why}, and its list has no place for the reason: {reason}"
            )
        self._await(address, dropped=True)
        return owner, notes

    def unban(self, address: str) -> None:
        """Give an address access again, whoever banned it."""
        sources = {row["source"] for row in self.of(address)}
        if "fail2ban" in sources:
            self._runner.run(["fail2ban-client", "unban", address], timeout=30, check=True)
        if "crowdsec" in sources:
            self._runner.run(
                ["cscli", "decisions", "delete", "--ip", address], timeout=30, check=True
            )
        self._await(address, dropped=False)

    def _jail(self, seconds: int | None, why_not_crowdsec: str) -> tuple[str, int]:
        """A jail whose bans last as long as asked, and how long: fail2ban has no other time for a single one.

        Where nothing was asked for it is the one whose bans last longest.
        """
        result = self._runner.run(["fail2ban-client", "status"], timeout=30)
        names: list[str] = re.findall(r"[\w-]+", result.stdout.partition("Jail list:")[2])
        if not result.ok or not names:
            raise ServiceError(
                "Nobody can ban here: expected CrowdSec or fail2ban to answer, found neither "
                f"({why_not_crowdsec[-200:] or 'no cscli'}).",
            )
        spans = {name: span for name in names if name in _JAILS and (span := self._bantime(name))}
        fitting = [name for name, span in spans.items() if seconds in (span, None)]
        if not fitting:
            possible = ", ".join(f"{_written(span)} ({name})" for name, span in spans.items())
            raise ServiceError(
                f"duration: CrowdSec doesn't answer ({why_not_crowdsec[-200:] or 'no cscli'}), and without "
                f"it a ban lasts as long as one of fail2ban's jails says: {possible or 'none of ours runs'}; "
                f"asked for {_written(seconds or USUAL)}. Nothing was changed; start CrowdSec, or ask for "
                "another.",
            )
        longest = max(fitting, key=lambda name: spans[name])
        return longest, spans[longest]

    def _bantime(self, jail: str) -> int:
        """Seconds that a jail bans for, 0 where it has no end or doesn't say."""
        answer = self._runner.run(["fail2ban-client", "get", jail, "bantime"], timeout=30)
        text = answer.stdout.strip()
        return int(text) if answer.ok and text.isdecimal() else 0

    def _await(self, address: str, *, dropped: bool, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while self.dropped(address) != dropped:
            if time.monotonic() > deadline:
                wanted = "dropped" if dropped else "let in again"
                raise ServiceError(
                    f"{address}: expected its packets to be {wanted} within {seconds:g} s, but nftables says "
                    "otherwise. Is the bouncer running?",
                    address=address,
                )
            self._sleep(0.5)


def _holds(found: Row, address: str) -> bool:
    """Whether a set has an address, by itself or in a network or range (libnftables-json(5))."""
    wanted = ipaddress.ip_address(address)
    for element in found.get("elem", []):
        value = element.get("elem", element) if isinstance(element, dict) else element
        value = value.get("val", value) if isinstance(value, dict) else value
        if isinstance(value, str):
            # The usual thing, of which there may be many thousands.
            if value == address:
                return True
            continue
        if "prefix" in value:
            network = ipaddress.ip_network((value["prefix"]["addr"], value["prefix"]["len"]))
            if wanted in network:
                return True
        elif "range" in value:
            first, last = (ipaddress.ip_address(end) for end in value["range"])
            if first.version == wanted.version and int(first) <= int(wanted) <= int(last):
                return True
    return False


def _shortest(text: str) -> str:
    """An address as everybody else writes it: Suricata's have all their zeros. Networks stay as they are."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
