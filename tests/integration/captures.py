"""Packet captures of conversations that never took place, for a sensor that reads a file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from scapy.layers.inet import IP, TCP
from scapy.packet import Packet, Raw
from scapy.utils import PcapWriter

__all__ = ["Scan", "capture"]

#: The protected host of scenario detection, and a port that strangers have no reason to try.
_SERVER = "198.51.100.1"
_CLIENT = "198.51.100.66"
_PORT = 8081
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: What fits into an Ethernet frame.
_SEGMENT = 1460
#: IP packets without frames. To frame one, scapy would look for the target's hardware address on the network.
_LINKTYPE_RAW = 101


@dataclass(frozen=True)
class Scan:
    """First packets from one address to many ports, within so many seconds."""

    source: str
    ports: Sequence[int]
    seconds: float


def _up(port: int, flags: str, sequence: int, acknowledged: int, data: bytes = b"") -> Packet:
    tcp = TCP(sport=port, dport=_PORT, flags=flags, seq=sequence, ack=acknowledged)
    packet: Packet = IP(src=_CLIENT, dst=_SERVER) / tcp
    return packet / Raw(data) if data else packet


def _down(port: int, flags: str, sequence: int, acknowledged: int, data: bytes = b"") -> Packet:
    tcp = TCP(sport=_PORT, dport=port, flags=flags, seq=sequence, ack=acknowledged)
    packet: Packet = IP(src=_SERVER, dst=_CLIENT) / tcp
    return packet / Raw(data) if data else packet


def _conversation(port: int, request: bytes) -> list[Packet]:
    """A whole connection: opened, asked, answered, closed."""
    asked, answered = 101 + len(request), 501 + len(_ANSWER)
    return [
        _up(port, "S", 100, 0),
        _down(port, "SA", 500, 101),
        _up(port, "A", 101, 501),
        *chain.from_iterable(
            (
                _up(port, "PA", 101 + start, 501, part := request[start : start + _SEGMENT]),
                # Without it the sensor takes what exceeds the window for nothing that the server will see.
                _down(port, "A", 501, 101 + start + len(part)),
            )
            for start in range(0, len(request), _SEGMENT)
        ),
        _down(port, "PA", 501, asked, _ANSWER),
        _up(port, "FA", asked, answered),
        _down(port, "FA", answered, asked + 1),
        _up(port, "A", asked + 1, answered + 1),
    ]


def capture(requests: Iterable[tuple[int, bytes]], scans: Iterable[Scan] = ()) -> bytes:
    """A capture file: a connection for each pair of source port and request, then the scans."""
    moment = 1_700_000_000.0
    packets: list[Packet] = []
    for port, request in requests:
        for packet in _conversation(port, request):
            moment += 0.01
            packet.time = moment
            packets.append(packet)
    for scan in scans:
        # Far enough apart that each is counted alone.
        moment += 60
        for number, target in enumerate(scan.ports):
            packet = IP(src=scan.source, dst=_SERVER) / TCP(sport=40000, dport=target, flags="S")
            packet.time = moment + number * scan.seconds / len(scan.ports)
            packets.append(packet)
    stream = io.BytesIO()
    writer = PcapWriter(stream, linktype=_LINKTYPE_RAW)
    for packet in packets:
        writer.write(packet)
    return stream.getvalue()
