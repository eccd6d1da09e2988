"""Who is never banned."""

from __future__ import annotations

import socket

import jinja2
import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._allowlist import (
    allowlist,
    entry_errors,
)

HOSTS = {"mon1": {"ansible_host": "192.0.2.1"}, "api1": {"koprogo_address": "2001:db8::5"}}


def test_loopback_fleet_and_control_node_are_always_on_it() -> None:
    assert allowlist([], HOSTS, ["198.51.100.7"]) == [
        "127.0.0.0/8",
        "192.0.2.1",
        "198.51.100.7",
        "::1",
        "2001:db8::5",
    ]


def test_overlaps_are_merged() -> None:
    found = allowlist(["192.0.2.0/24", "192.0.2.9"], HOSTS, [])
    assert "192.0.2.0/24" in found
    assert "192.0.2.1" not in found


def test_a_host_without_an_address_is_left_out() -> None:
    def unknown(name: str) -> list[str]:
        raise OSError(name)

    assert allowlist([], {"nowhere": {}}, [], resolver=unknown) == ["127.0.0.0/8", "::1"]


def test_a_resolver_that_is_silent_stops_the_run() -> None:
    """Without its hosts the list would let a fleet ban itself."""

    def silent(_name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def nobody(_name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ValueError, match=r"host db1: expected its address.*Temporary failure"):
        allowlist([], {"db1": {}}, [], resolver=silent)
    assert allowlist([], {"db1": {}}, [], resolver=nobody) == ["127.0.0.0/8", "::1"]


def test_a_host_whose_address_cant_be_told_stops_the_run() -> None:
    # What a template gives that asks for a fact of a host outside the limit.
    unknown = jinja2.StrictUndefined("'dict object' has no attribute 'default_ipv4'")
    with pytest.raises(ValueError, match=r"host db1: expected koprogo_address.*--limit"):
        allowlist([], {"db1": {"koprogo_address": unknown}}, [])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("198.51.100.300", "expected an address or a network"),
        ("198.51.100.1/24", "has host bits set"),
        ("0.0.0.0/0", "at least /8"),
        ("::/0", "at least /16"),
        ("", "expected an address or a network"),
    ],
)
def test_bad_entries_are_named(entry: str, expected: str) -> None:
    assert expected in entry_errors("koprogo_allowlist", [entry])[0]
    with pytest.raises(ValueError, match="koprogo_allowlist"):
        allowlist([entry], {}, [])


def test_a_text_is_no_list() -> None:
    assert "expected a list" in entry_errors("koprogo_allowlist", "192.0.2.1")[0]
