"""Bans across CrowdSec and fail2ban, with both played by a table of answers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._bans import (
    Bans,
    parsed_address,
    parsed_duration,
    remaining,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ConflictError,
    InputError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner
from ansible_collections.koprogo.observability.plugins.modules.ban import carry_out

ATTACKER = "203.0.113.9"


class Host(Runner):
    """A host whose CrowdSec and fail2ban keep their bans in memory."""

    def __init__(self, *, crowdsec: bool = True, fail2ban: bool = True) -> None:
        super().__init__()
        self.crowdsec = crowdsec
        self.jail: set[str] | None = set() if fail2ban else None
        self.used = self.asked = ""
        self.told: list[str] = []
        self.enforcing = self.ruled = True
        self.allowed: list[Any] = []
        self.lasting = "3h59m59.5s"
        self.decisions: dict[str, str] = {}
        self.ends = "2099-01-01 00:00:00"
        self.spans = {"api-abuse": "3600", "sshd": "600"}

    def run(self, argv: Sequence[str], **_options: Any) -> Result:
        self.told.append(" ".join(argv))
        rc, out = self.answer(list(argv))
        return Result(argv=list(argv), rc=rc, stdout=out, stderr="", seconds=0)

    def answer(self, argv: list[str]) -> tuple[int, str]:
        if argv[0] == "cscli":
            return (1, "no API") if not self.crowdsec else self.cscli(argv[2:])
        if argv[0] == "fail2ban-client":
            return (255, "no server") if self.jail is None else self.client(argv[1:])
        held = [*self.decisions, *(self.jail or ())] if self.enforcing else []
        place = {"family": "ip", "table": "crowdsec"}
        rows = [
            {"set": place | {"name": "bad", "elem": held}},
            {"set": place | {"name": "allowed", "elem": self.allowed}},
            {"rule": place | {"expr": [{"match": {"right": "@allowed"}}, {"accept": None}]}},
        ]
        if self.ruled:
            rows.append({"rule": place | {"expr": [{"match": {"right": "@bad"}}, {"drop": None}]}})
        return 0, json.dumps({"nftables": rows})

    def cscli(self, words: list[str]) -> tuple[int, str]:
        if words[0] == "add":
            options = dict(zip(words[1::2], words[2::2], strict=True))
            self.decisions[options["--ip"]] = options["--reason"]
            self.asked = options["--duration"]
        elif words[0] == "delete":
            self.decisions.pop(words[2])
        rows = [
            {
                "decisions": [
                    {"type": "ban", "value": value, "scenario": reason, "duration": self.lasting}
                ]
            }
            for value, reason in self.decisions.items()
        ]
        return 0, json.dumps(rows or None)

    def client(self, words: list[str]) -> tuple[int, str]:
        assert self.jail is not None
        if words[0] == "set":
            self.jail.add(words[3])
            self.used = words[1]
        elif words[0] == "unban":
            self.jail.discard(words[1])
        elif words[0] == "get" and words[2] == "bantime":
            return 0, f"{self.spans[words[1]]}\n"
        elif words[0] == "get":
            rows = [f"{one} \t2026-11-30 02:00:00 + 600 = {self.ends}" for one in self.jail]
            return 0, "\n".join(rows)
        elif words[0] == "status":
            return 0, "Status\n|- Number of jail:\t2\n`- Jail list:\tapi-abuse, sshd\n"
        return 0, str([{"sshd": sorted(self.jail)}, {"api-abuse": []}])


def bans(host: Runner, tmp_path: Path, allowed: str = "", client: str = "") -> Bans:
    path = tmp_path / "allowlist"
    path.write_text(allowed)
    return Bans(host, allowlists=[str(path)], sleep=lambda _s: None, client=lambda: client)


def wanted(address: str = ATTACKER, state: str = "present", **more: str) -> Mapping[str, Any]:
    return {
        "address": address, "state": state, "duration": "1h", "reason": "test", "by": "ada", **more
    }  # fmt: skip


def test_ban_twice_and_unban_twice(tmp_path: Path) -> None:
    host = Host()
    ours = bans(host, tmp_path)
    first = carry_out(ours, dict(wanted()), check=False)
    assert (first["changed"], first["owner"], first["dropped"]) == (True, "crowdsec", True)
    assert first["after"][0]["reason"] == "test (by ada)"
    assert not carry_out(ours, dict(wanted()), check=False)["changed"]
    last = carry_out(ours, dict(wanted(state="absent")), check=False)
    assert (last["changed"], last["dropped"], last["after"]) == (True, False, [])
    assert not carry_out(ours, dict(wanted(state="absent")), check=False)["changed"]


def test_a_ban_that_is_about_to_end_is_prolonged(tmp_path: Path) -> None:
    host = Host()
    host.decisions = {ATTACKER: "fail2ban sshd"}
    host.lasting = "9m12.5s"
    longer = carry_out(bans(host, tmp_path), dict(wanted()), check=False)
    assert longer["changed"]
    assert host.decisions == {ATTACKER: "test (by ada)"}
    host.lasting = "31m0s"
    assert not carry_out(bans(host, tmp_path), dict(wanted()), check=False)["changed"]


def test_a_set_that_no_rule_asks_drops_nothing(tmp_path: Path) -> None:
    host = Host()
    host.decisions = {ATTACKER: "test"}
    assert bans(host, tmp_path).dropped(ATTACKER)
    host.ruled = False
    assert not bans(host, tmp_path).dropped(ATTACKER)


@pytest.mark.parametrize(
    "allowed",
    [
        [ATTACKER],
        [{"prefix": {"addr": "203.0.113.0", "len": 24}}],
        [{"range": ["203.0.113.1", "203.0.113.200"]}],
        [{"elem": {"val": ATTACKER, "expires": 9}}],
    ],
)
def test_who_is_let_in_before_any_ban_is_asked_is_not_dropped(
    tmp_path: Path, allowed: list[Any]
) -> None:
    host = Host()
    ours = bans(host, tmp_path)
    host.allowed = allowed
    assert not ours.dropped(ATTACKER), "nobody banned it"
    host.decisions = {ATTACKER: "test"}
    assert not ours.dropped(ATTACKER), "the allow-list comes first"
    assert carry_out(ours, dict(wanted(state="absent")), check=False)["changed"]
    host.allowed = [{"prefix": {"addr": "198.51.100.0", "len": 24}}, "198.51.100.7"]
    host.decisions = {ATTACKER: "test"}
    assert ours.dropped(ATTACKER)


def test_an_ipv4_address_in_ipv6_is_banned_as_what_it_is(tmp_path: Path) -> None:
    mapped = f"::ffff:{ATTACKER}"
    assert parsed_address(mapped) == ATTACKER
    with pytest.raises(ConflictError, match="control node"):
        bans(Host(), tmp_path, client=ATTACKER).refuse_if_allowed(parsed_address(mapped))


def test_an_address_with_all_its_zeros_is_the_same(tmp_path: Path) -> None:
    host = Host()
    host.decisions = {"2001:0db8:0000:0000:0000:0000:0000:0009": "sqli"}
    [row] = bans(host, tmp_path).of("2001:db8::9")
    assert row["reason"] == "sqli"


def test_fail2ban_bans_where_crowdsec_does_not_answer(tmp_path: Path) -> None:
    host = Host(crowdsec=False)
    result = carry_out(bans(host, tmp_path), dict(wanted()), check=False)
    assert result["owner"] == "fail2ban"
    assert host.jail == {ATTACKER}
    assert host.spans[host.used] == "3600"
    (note,) = result["notes"]
    assert "jail api-abuse keeps 203.0.113.9 out, for 1h, as asked" in note
    assert note.endswith("no place for the reason: test (by ada)")
    assert not carry_out(bans(host, tmp_path), dict(wanted()), check=False)["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_duration_that_no_jail_has_is_refused_without_crowdsec(
    tmp_path: Path, *, check: bool
) -> None:
    host = Host(crowdsec=False)
    expected = (
        r"^duration: CrowdSec doesn't answer \(no API\), .* says: 1h \(api-abuse\), 10m \(sshd\); "
        r"asked for 1d12h\. Nothing was changed; start CrowdSec, or ask for another"
    )
    with pytest.raises(ServiceError, match=expected):
        carry_out(bans(host, tmp_path), dict(wanted(duration="1d12h")), check=check)
    assert host.jail == set()
    # Access can be given without it.
    carry_out(bans(host, tmp_path), dict(wanted(state="absent")), check=check)


def test_a_jails_ban_that_is_about_to_end_is_prolonged_without_crowdsec(tmp_path: Path) -> None:
    host = Host(crowdsec=False)
    host.jail = {ATTACKER}
    host.ends = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 90))
    assert 80 < remaining(bans(host, tmp_path).of(ATTACKER)) <= 90
    assert carry_out(bans(host, tmp_path), dict(wanted()), check=False)["owner"] == "fail2ban"
    assert host.used == "api-abuse"


def test_who_asks_for_no_duration_gets_what_there_is(tmp_path: Path) -> None:
    host = Host(crowdsec=False)
    ours, asked = bans(host, tmp_path), dict(wanted(duration=""))
    result = carry_out(ours, asked, check=False)
    assert (result["owner"], host.used) == ("fail2ban", "api-abuse")
    assert "for 1h, the longest it can, instead of 4h" in result["notes"][0]
    # Within its hour it is as long as it can be; with CrowdSec back it gets the usual four.
    host.ends = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 3000))
    assert not carry_out(ours, asked, check=False)["changed"]
    host.crowdsec = True
    assert carry_out(ours, asked, check=True)["changed"]
    assert carry_out(ours, asked, check=False)["owner"] == "crowdsec"
    assert (host.asked, host.decisions) == ("14400s", {ATTACKER: "test (by ada)"})


def test_an_unban_asks_both(tmp_path: Path) -> None:
    host = Host()
    host.jail = {ATTACKER}
    host.decisions = {ATTACKER: "fail2ban sshd"}
    carry_out(bans(host, tmp_path), dict(wanted(state="absent")), check=False)
    assert host.jail == set()
    assert host.decisions == {}


def test_check_mode_predicts(tmp_path: Path) -> None:
    host = Host()
    assert carry_out(bans(host, tmp_path), dict(wanted()), check=True)["changed"]
    assert host.decisions == {}


@pytest.mark.parametrize("crowdsec", [True, False])
@pytest.mark.parametrize("banned", [True, False])
@pytest.mark.parametrize("duration", ["", "1h"])
def test_a_prediction_asks_everybody_once(
    tmp_path: Path, duration: str, *, crowdsec: bool, banned: bool
) -> None:
    host = Host(crowdsec=crowdsec)
    host.lasting = "5m"
    host.decisions = {ATTACKER: "test"} if banned else {}
    host.jail = {ATTACKER} if banned else set()
    host.ends = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 90))
    assert carry_out(bans(host, tmp_path), dict(wanted(duration=duration)), check=True)["changed"]
    assert len(host.told) == len(set(host.told))
    assert len([argv for argv in host.told if argv.startswith("cscli")]) == 1


def test_a_ban_that_nobody_enforces_is_a_failure(tmp_path: Path, monkeypatch: Any) -> None:
    host = Host()
    host.enforcing = False
    ticks = iter(range(0, 1000, 5))
    monkeypatch.setattr("time.monotonic", lambda: float(next(ticks)))
    with pytest.raises(ServiceError, match="nftables says otherwise"):
        carry_out(bans(host, tmp_path), dict(wanted()), check=False)


def test_nobody_there_to_ban(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="found neither"):
        carry_out(bans(Host(crowdsec=False, fail2ban=False), tmp_path), dict(wanted()), check=False)


@pytest.mark.parametrize(
    ("address", "allowed", "client", "expected"),
    [
        (ATTACKER, "203.0.113.0/24\n", "", "on the allow-list"),
        (ATTACKER, "", ATTACKER, "lock you out"),
        ("127.0.0.1", "", "", "no address that anybody"),
    ],
)
def test_refused(tmp_path: Path, address: str, allowed: str, client: str, expected: str) -> None:
    host = Host()
    with pytest.raises(ConflictError, match=expected):
        carry_out(bans(host, tmp_path, allowed, client), dict(wanted(address)), check=False)
    assert host.decisions == {}
    # Access may be given to anybody.
    carry_out(bans(host, tmp_path, allowed, client), dict(wanted(address, "absent")), check=False)


@pytest.mark.parametrize("text", ["203.0.113.0/24", "all", "", "203.0.113.9;reboot", "--all"])
def test_only_one_address(text: str) -> None:
    with pytest.raises(InputError, match="one IPv4 or IPv6 address"):
        parsed_address(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("1d12h", 129_600), ("45s", 45), ("4h", 14_400)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parsed_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0h", "-1h", "forever", "4"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(InputError, match="duration: expected"):
        parsed_duration(text)
