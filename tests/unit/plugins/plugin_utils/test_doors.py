"""Who may pass a door, from the inventory."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import resolve
from ansible_collections.koprogo.observability.plugins.plugin_utils._doors import (
    address_errors,
    option_errors,
    resolved_doors,
)

HOSTVARS: dict[str, dict[str, Any]] = {
    "mon1": {"koprogo_address": "192.0.2.1", "ansible_host": "198.51.100.1"},
    "mon2": {"ansible_host": "2001:db8::2"},
    "db1": {"koprogo_address": "db1.example"},
    "api1": {},
}
KNOWN = {"db1.example": ["192.0.2.7", "2001:db8::7"], "api1": ["192.0.2.8"]}


def resolver(name: str) -> list[str]:
    try:
        return KNOWN[name]
    except KeyError:
        raise OSError(-2, "Name or service not known") from None


@pytest.mark.parametrize(
    ("sources", "ipv4", "ipv6"),
    [
        (["mon1"], ["192.0.2.1"], []),
        (["mon2"], [], ["2001:db8::2"]),
        (["db1"], ["192.0.2.7"], ["2001:db8::7"]),
        (["api1"], ["192.0.2.8"], []),
        (["198.51.100.0/24", "198.51.100.9"], ["198.51.100.0/24"], []),
        (["192.0.2.1", "mon1"], ["192.0.2.1"], []),
        (["10.0.0.7/24"], ["10.0.0.0/24"], []),
        ([], [], []),
    ],
)
def test_sources_become_addresses(sources: list[str], ipv4: list[str], ipv6: list[str]) -> None:
    doors = resolved_doors({"metrics": {"port": "9998", "sources": sources}}, HOSTVARS, resolver)
    assert doors == [{"name": "metrics", "port": 9998, "ipv4": ipv4, "ipv6": ipv6}]


def test_an_unknown_source_is_named_with_its_door() -> None:
    with pytest.raises(ValueError, match=r"door 'logs': expected 'nowhere' .* Name or service"):
        resolved_doors({"logs": {"port": 4318, "sources": ["nowhere"]}}, HOSTVARS, resolver)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        ({"firewall_extra_sources": ["db1", "10.0.0.0/8", "2001:db8::1"]}, []),
        (
            {"firewall_extra_sources": ["mon1", "nowhere"]},
            ["firewall_extra_sources: expected 'nowhere' to be a host of the inventory"],
        ),
        ({"firewall_extra_doors": {"api": {"port": "8080", "sources": ["mon1"]}}}, []),
        (
            {"firewall_extra_doors": {"my-api": {"port": 8080, "sources": []}}},
            ["firewall_extra_doors.my-api: expected a name of letters"],
        ),
        (
            {"firewall_extra_doors": {"api": {"port": 8080}}},
            ["firewall_extra_doors.api: expected port and sources, found {'port': 8080}"],
        ),
        (
            {"firewall_extra_doors": {"api": {"port": "web", "sources": ["nowhere"]}}},
            [
                "firewall_extra_doors.api.port: expected a TCP port from 1 to 65535, found 'web'",
                "firewall_extra_doors.api.sources: expected 'nowhere' to be",
            ],
        ),
        (
            {"firewall_extra_doors": {"api": {"port": 1, "sources": "mon1"}}},
            ["firewall_extra_doors.api.sources: expected a list, found 'mon1'"],
        ),
    ],
)
def test_doors_of_the_users_own_are_judged(variables: dict[str, Any], expected: list[str]) -> None:
    errors = option_errors(variables, HOSTVARS, resolver)
    assert len(errors) == len(expected)
    for error, words in zip(errors, expected, strict=True):
        assert error.startswith(words)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_an_address_is_its_own(name: str, expected: str) -> None:
    assert resolve(name) == [expected]


def test_ipv4_comes_first_and_loopback_last(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("127.0.1.1", "2001:db8::1", "192.0.2.9", "192.0.2.10", "192.0.2.9")
    found = [(0, 0, 0, "", (a, 0)) for a in names]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: found)
    assert resolve("x") == ["192.0.2.9", "192.0.2.10", "2001:db8::1", "127.0.1.1"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("db1.example", ""),
        ("2001:db8::2", ""),
        ("nowhere", "found 'nowhere', which the control node can't resolve: Name or service"),
        ("self.example", "found 'self.example', which the control node resolves to 127.0.1.1"),
        ("::1", "found '::1'"),
        ("0.0.0.0", "found '0.0.0.0'"),
    ],
)
def test_an_address_that_nobody_can_come_to_is_an_error(address: str, expected: str) -> None:
    def known(name: str) -> list[str]:
        if name in ("2001:db8::2", "::1", "0.0.0.0"):
            return [name]
        return ["127.0.1.1"] if name == "self.example" else resolver(name)

    hostvars = {"a": {"koprogo_address": address}, "b": {}}
    errors = address_errors("a", {"all": ["a", "b"]}, hostvars, known)
    assert len(errors) == bool(expected)
    assert all(expected in error for error in errors)
    assert address_errors("a", {"all": ["a"]}, hostvars, known) == []
