"""The rules of the doors: which packets each chain judges."""

from __future__ import annotations

import re
from typing import Any

from tests.role_lab import rendered

METRICS = {"name": "metrics", "port": 9998, "ipv4": ["192.0.2.1"], "ipv6": []}
OWN = {"name": "own_api", "port": 8443, "ipv4": ["192.0.2.1"], "ipv6": ["2001:db8::1"]}


def chains(*doors: dict[str, Any], **extra: dict[str, Any]) -> dict[str, list[str]]:
    """The rules by chain."""
    text = rendered(
        "firewall",
        "etc/koprogo/firewall/doors.nft.j2",
        __firewall_doors=doors,
        firewall_extra_doors=extra,
    )
    found = re.findall(r"^\tchain (\w+) \{\n(.*?)\n\t\}$", text, re.MULTILINE | re.DOTALL)
    return {name: [rule.strip() for rule in rules.splitlines()] for name, rules in found}


def judged(rules: list[str]) -> list[str]:
    return [rule for rule in rules if "dport 9998" in rule or "dport 8443" in rule]


def test_a_port_that_a_container_publishes_is_judged_before_it_is_led_there() -> None:
    """Docker leads it away at priority dstnat; what goes to a container never comes to the input chain."""
    found = chains(METRICS, OWN, own_api={"port": 8443, "sources": ["192.0.2.1"]})
    assert list(found) == ["input", "published"]
    first, *rules = found["published"]
    assert first == "type filter hook prerouting priority mangle; policy accept;"
    # Nobody is kept from the same port of another host behind this one, and no answer from who was asked.
    assert [rule for rule in rules if not rule.startswith("#")][:3] == [
        "iif lo accept",
        "ct direction reply accept",
        "fib daddr type != local accept",
    ]
    assert judged(found["input"])[3:] == judged(rules) == rules[-3:]
    assert rules[-3:] == [
        "tcp dport 8443 ip saddr @own_api_ipv4 accept",
        "tcp dport 8443 ip6 saddr @own_api_ipv6 accept",
        "tcp dport 8443 counter drop",
    ]


def test_the_doors_of_the_stack_belong_to_daemons_of_the_host() -> None:
    found = chains(METRICS)
    assert list(found) == ["input"]
    assert len(judged(found["input"])) == 3
