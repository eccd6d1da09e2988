"""A capture of each attack, its near misses and ordinary requests; and what an engine has to say of it."""

from __future__ import annotations

import json
import re

from tests.integration import benign
from tests.integration.attacks import ATTACKS, NEIGHBOURS, raw_request
from tests.integration.captures import Scan, capture

__all__ = ["assert_just", "evidence"]

_SCAN = 9100061
#: By the tens of a rule's number, two for each.
_KINDS = ("sqli", "xss", "traversal", "scan")
#: One port less than suricata_scan_ports, as many, and as many that strangers may try.
_SCANS = {
    "198.51.100.101": Scan("198.51.100.101", range(20000, 20019), 8),
    "198.51.100.102": Scan("198.51.100.102", range(20000, 20020), 8),
    "198.51.100.103": Scan("198.51.100.103", [22, 80, 443, 5432, 8080] * 5, 8),
}
_REQUESTS = [
    *(raw_request("POST" if one.body else "GET", one.path, one.body) for one in ATTACKS),
    *(raw_request("GET", path) for path in NEIGHBOURS),
    *(raw_request(*one) for one in benign.requests()),
]
_FIRST_PORT = 20000


def evidence() -> bytes:
    """The capture, each conversation from a port of its own."""
    requests = [(_FIRST_PORT + number, text.encode()) for number, text in enumerate(_REQUESTS)]
    return capture(requests, _SCANS.values())


def assert_just(eve: str, *, rules: str) -> None:
    """Each rule sees its attacks and nothing else; no rule is without an attack.

    eve: the engine's F(eve.json). rules: the text of all rules that it had.
    """
    expected = {_FIRST_PORT + number: one.sids for number, one in enumerate(ATTACKS)}
    numbers = set(map(int, re.findall(r"sid:(\d+)", rules)))
    assert numbers == {_SCAN}.union(*expected.values())

    found: dict[int, set[int]] = {}
    scanners = set()
    for event in map(json.loads, eve.splitlines()):
        if event["event_type"] != "alert":
            continue
        alert = event["alert"]
        number = alert["signature_id"]
        assert alert["metadata"]["koprogo_kind"] == [_KINDS[(number - 9100000) // 20]]
        severity = "Minor" if number == _SCAN else "Major"
        assert alert["metadata"]["signature_severity"] == [severity]
        if number == _SCAN:
            scanners.add(event["src_ip"])
        else:
            found.setdefault(event["src_port"], set()).add(number)
    wrong = {
        _REQUESTS[port - _FIRST_PORT].splitlines()[0]: (found.get(port, set()), expected.get(port))
        for port in expected.keys() | found.keys()
        if found.get(port) != expected.get(port)
    }
    assert not wrong, f"by request, the rules that saw it and those that should: {wrong}"
    # The conversations came from one address and went to a port of the second kind: they count as well.
    assert scanners - {"198.51.100.66"} == {"198.51.100.102"}
