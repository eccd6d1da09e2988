"""An attack in somebody else's name: packets of a connection that was never made."""

from __future__ import annotations

import json

from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from tests.integration.attacks import ATTACKS, raw_request
from tests.integration.boxes import docker
from tests.integration.victim import Victim

__all__ = ["frame"]

_SEND = """
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for packet in json.load(sys.stdin):
    s.sendto(bytes.fromhex(packet), ("198.51.100.1", 0))
"""
# Before any ban: how many of them came by.
_COUNT = """
add table inet forged
add chain inet forged seen {{ type filter hook prerouting priority -200; }}
add rule inet forged seen ip saddr {source} counter
"""
_HOST = "198.51.100.1"
_PORT = 8081


def frame(box: Victim, source: str) -> None:
    """Send an attack from an address that takes no part in it, with and without a first packet."""
    request = raw_request("GET", ATTACKS[0].path).encode()
    packets = []
    for port, opened in ((41001, False), (41002, True)):
        if opened:
            packets.append(
                IP(src=source, dst=_HOST) / TCP(sport=port, dport=_PORT, flags="S", seq=100)
            )
        # What the host's own first number is, nobody knows who doesn't see its answers.
        for flags, start, data in (("PA", 101, request), ("FA", 101 + len(request), b"")):
            tcp = TCP(sport=port, dport=_PORT, flags=flags, seq=start, ack=501)
            packets.append(IP(src=source, dst=_HOST) / tcp / Raw(data))
    inside = ("ip", "netns", "exec", "attacker", "python3", "-c", _SEND)
    docker("exec", "-i", box.name, "nft", "-f", "-", stdin=_COUNT.format(source=source))
    try:
        sent = json.dumps([bytes(one).hex() for one in packets])
        docker("exec", "-i", box.name, *inside, stdin=sent)
        assert box.counted("forged") >= len(packets), "the forged packets have not arrived"
    finally:
        box.sh("nft delete table inet forged")
