"""Who may pass a door, from the inventory."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._doors import (
    resolve,
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
    ("name", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_an_address_is_its_own(name: str, expected: str) -> None:
    assert resolve(name) == [expected]


def test_ipv4_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (a, 0)) for a in ("2001:db8::1", "192.0.2.9", "192.0.2.10", "192.0.2.9")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: found)
    assert resolve("x") == ["192.0.2.9", "192.0.2.10", "2001:db8::1"]
