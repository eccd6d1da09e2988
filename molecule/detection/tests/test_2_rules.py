"""Each rule reads a capture: what it must see, what it must not, and where its count begins."""

from __future__ import annotations

import json
import re
import subprocess

from tests.integration import benign
from tests.integration.attacks import ATTACKS, NEIGHBOURS, raw_request
from tests.integration.captures import Scan, capture
from tests.integration.victim import Victim, on_each_victim

SCAN = 9100061
#: By the tens of a rule's number, two for each.
KINDS = ("sqli", "xss", "traversal", "scan")
#: One port less than suricata_scan_ports, as many, and as many that strangers may try.
SCANS = {
    "198.51.100.101": Scan("198.51.100.101", range(20000, 20019), 8),
    "198.51.100.102": Scan("198.51.100.102", range(20000, 20020), 8),
    "198.51.100.103": Scan("198.51.100.103", [22, 80, 443, 5432, 8080] * 5, 8),
}
REQUESTS = [
    *(raw_request("POST" if one.body else "GET", one.path, one.body) for one in ATTACKS),
    *(raw_request("GET", path) for path in NEIGHBOURS),
    *(raw_request(*one) for one in benign.requests()),
]
FIRST_PORT = 20000
# The engine's own configuration; its command socket belongs to the one that runs.
JUDGE = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/case.pcap"
suricata -c /etc/koprogo/suricata/suricata.yaml --set unix-command.enabled=no -k none -l "$folder" \
    -r "$folder/case.pcap" >&2
cat "$folder/eve.json"
"""


def judged(box: Victim, packets: bytes) -> list[dict[str, object]]:
    """Alerts that a host's engine raises for a capture."""
    command = ["docker", "exec", "-i", box.name, "sh", "-c", JUDGE]
    done = subprocess.run(command, input=packets, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in events if event["event_type"] == "alert"]


@on_each_victim
def test_each_rule_sees_its_attacks_and_nothing_else(box: Victim) -> None:
    rules = set(
        map(int, re.findall(r"sid:(\d+)", box.sh("cat /etc/koprogo/suricata/rules/*.rules")))
    )
    expected = {FIRST_PORT + number: one.sids for number, one in enumerate(ATTACKS)}
    assert rules == {SCAN}.union(*expected.values())

    requests = [(FIRST_PORT + number, text.encode()) for number, text in enumerate(REQUESTS)]
    found: dict[int, set[int]] = {}
    scanners = set()
    for event in judged(box, capture(requests, SCANS.values())):
        alert = event["alert"]
        assert isinstance(alert, dict)
        kind = KINDS[(alert["signature_id"] - 9100000) // 20]
        assert alert["metadata"]["koprogo_kind"] == [kind]
        if alert["signature_id"] == SCAN:
            scanners.add(event["src_ip"])
        else:
            port = event["src_port"]
            assert isinstance(port, int)
            found.setdefault(port, set()).add(alert["signature_id"])
    wrong = {
        REQUESTS[port - FIRST_PORT].splitlines()[0]: (found.get(port, set()), expected.get(port))
        for port in expected.keys() | found.keys()
        if found.get(port) != expected.get(port)
    }
    assert wrong == {}
    # The conversations came from one address and went to a port of the second kind: they count as well.
    assert scanners - {"198.51.100.66"} == {"198.51.100.102"}
