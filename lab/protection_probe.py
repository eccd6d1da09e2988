# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host of scenario detection: attacks it from its attacker's namespace, and measures what happens.

One clock for all of it. The argument is a JSON object of what to do; the last line written is the answer.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_EVE = Path("/var/log/suricata/eve.json")
_API_LOG = Path("/var/log/koprogo/api.log")
_LEDGER = "file:/var/lib/crowdsec/data/crowdsec.db?mode=ro"
_HOST = "198.51.100.1"
_COLLEAGUE = "198.51.100.200"
# The attacker has more than thirty addresses from here on.
_FIRST = 66
_UNITS = ("suricata", "fail2ban", "crowdsec", "crowdsec-firewall-bouncer")
_ATTACK = "GET /?id=1%20UNION%20SELECT%20a HTTP/1.1\r\nHost: x\r\n\r\n"
_TICK = 0.005
# Datagrams at a steady pace: the first that doesn't arrive was the first that was dropped.
_BEACON = f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("SOURCE", 0))
while True:
    s.sendto(repr(time.time()).encode(), ("{_HOST}", 9999)); time.sleep({_TICK})
"""
_REQUEST = f"""
import socket, time
s = socket.create_connection(("{_HOST}", 8081), source_address=("SOURCE", 0))
print(time.time(), flush=True); s.sendall({_ATTACK!r}.encode()); s.settimeout(1); s.recv(100)
"""
# As many as one core can: requests written in blocks, the answers read and thrown away; or bare datagrams.
_REQUESTS = f"""
import socket, time
s = socket.create_connection(("{_HOST}", 8081), source_address=("{_COLLEAGUE}", 0))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
request, end, count = b"GET /api/v1/buildings HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", time.time() + SECONDS, 0
while time.time() < end:
    s.sendall(request); s.recv(65536); count += 1
print(count)
"""
_DATAGRAMS = f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{_COLLEAGUE}", 0)); s.connect(("{_HOST}", 9998))
data, end, count = b"x" * 64, time.time() + SECONDS, 0
while time.time() < end:
    for _ in range(100):
        try:
            s.send(data); count += 1
        except ConnectionRefusedError:
            pass
print(count)
"""


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def _attacker(script: str) -> subprocess.Popen[str]:
    # Not `ip netns exec`: who kills that leaves its command alive.
    argv = ["nsenter", "--net=/run/netns/attacker", "python3", "-c", script]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def _serve() -> None:
    """Answer every request, for as long as the probe runs."""
    listener = socket.create_server((_HOST, 8081))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def talk(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                connection.sendall(answer)

    def accept() -> None:
        while True:
            threading.Thread(target=talk, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


class _Beacon:
    """An attacker whose datagrams arrive, until they don't."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.last = 0.0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_HOST, 9999))
        self._sender = _attacker(_BEACON.replace("SOURCE", source))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        _until(lambda: self.last)

    def _listen(self) -> None:
        # An empty one ends it.
        while data := self._socket.recv(100):
            self.last = float(data)

    def dropped(self) -> float:
        """When the first datagram was sent that didn't arrive."""
        _until(lambda: time.time() - self.last > 1)
        return self.last + _TICK

    def close(self) -> None:
        self._sender.kill()
        self._socket.sendto(b"", (_HOST, 9999))
        self._listener.join()
        self._socket.close()


def _until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing came within {seconds:.0f} s")
        time.sleep(0.002)
    return found


class _Tail:
    """When a line with a word was written to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open(encoding="utf-8", errors="replace")
        self._file.seek(0, 2)

    def wait(self, *words: str) -> float:
        """The moment when a line with all words was there."""
        return float(_until(lambda: self._seen(words) and time.time()))

    def _seen(self, words: tuple[str, ...]) -> bool:
        return any(all(word in line for word in words) for line in self._file)


def _forgive() -> None:
    subprocess.run(["fail2ban-client", "unban", "--all"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cscli", "decisions", "delete", "--all"], check=True, stderr=subprocess.DEVNULL)


def _entered() -> float:
    """When CrowdSec's last decision was made, by its own ledger."""
    with sqlite3.connect(_LEDGER, uri=True) as ledger:
        query = "select created_at from decisions order by id desc limit 1"
        text: str = ledger.execute(query).fetchone()[0]
    # Nanoseconds are more than Python reads.
    moment, _dot, fraction = text.partition("+")[0].partition(".")
    whole = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    return whole + float(f"0.{fraction or 0}")


def _banned(source: str) -> float:
    """When fail2ban said so last, by the journal's clock."""
    argv = [
        "journalctl",
        "-u",
        "fail2ban",
        "-o",
        "short-unix",
        "-q",
        "-g",
        f"] Ban {source}",
        "-n",
        "1",
    ]
    return float(_run(*argv).split()[0])


def _intrusion(beacon: _Beacon, _options: dict[str, Any]) -> dict[str, float]:
    """SQL injection: seconds until Suricata's line, CrowdSec's decision, the first dropped packet."""
    lines = _Tail(_EVE)
    attack = _attacker(_REQUEST.replace("SOURCE", beacon.source))
    event = lines.wait(beacon.source, '"signature_id":9100001')
    dropped = beacon.dropped()
    began = float(attack.communicate()[0])
    return {"event": event - began, "ban": _entered() - began, "drop": dropped - began}


def _flood(beacon: _Beacon, options: dict[str, Any]) -> dict[str, float]:
    """A hundred requests: seconds until fail2ban's ban, and the first dropped packet."""
    began = time.time()
    _write(options["line"], [beacon.source] * 100)
    dropped = beacon.dropped()
    return {"ban": _banned(beacon.source) - began, "drop": dropped - began}


def _write(template: str, addresses: list[str]) -> None:
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = template.replace("TIME", moment) + "\n"
    with _API_LOG.open("a", encoding="utf-8") as log:
        log.write("".join(line.replace("ADDRESS", address) for address in addresses))


def bans(options: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Repeat both attacks, each time from another address: CrowdSec bans one only once a minute."""
    _serve()
    found: dict[str, list[dict[str, float]]] = {"intrusion": [], "flood": []}
    for number in range(options["tries"]):
        for name, attack in (("intrusion", _intrusion), ("flood", _flood)):
            _forgive()
            beacon = _Beacon(f"198.51.100.{_FIRST + number}")
            found[name].append(attack(beacon, options))
            beacon.close()
    _forgive()
    return found


def _main_process(unit: str) -> str:
    return _run("systemctl", "show", "-P", "MainPID", unit).strip()


def memory(_options: dict[str, Any]) -> dict[str, float]:
    """MiB of each engine's process: what it shares with others is counted in parts (PSS)."""
    found = {}
    for unit in _UNITS:
        text = Path(f"/proc/{_main_process(unit)}/smaps_rollup").read_text(encoding="ascii")
        kib = next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:"))
        found[unit] = int(kib) / 1024
    return found


def _counted() -> tuple[int, int]:
    """Packets that the engine has seen, and those it has lost, by its own counters."""
    counters = json.loads(_run("suricatasc", "-c", "dump-counters"))["message"]
    return counters["capture"]["kernel_packets"], counters["capture"].get("kernel_drops", 0)


def burst(options: dict[str, Any]) -> dict[str, dict[str, float]]:
    """As many packets as the attacker can send for some seconds."""
    _serve()
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind((_HOST, 9998))
    seconds, found = options["seconds"], {}
    # The engine adds its counters up every 30 s.
    time.sleep(31)
    for name, script in (("requests", _REQUESTS), ("datagrams", _DATAGRAMS)):
        before = _counted()
        attack = _attacker(script.replace("SECONDS", str(seconds)))
        sent = int(attack.communicate()[0])
        time.sleep(31)
        seen, lost = (now - then for now, then in zip(_counted(), before, strict=True))
        found[name] = {"sent": sent, "seen": seen, "lost": lost, "seconds": seconds}
    return found


def _seconds_of(unit: str) -> float:
    """CPU seconds of an engine's process so far, all threads of it."""
    fields = Path(f"/proc/{_main_process(unit)}/stat").read_text(encoding="utf-8").split(") ")[1]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / 100


def _counted_lines() -> int:
    """How many requests fail2ban has counted since its start."""
    status = _run("fail2ban-client", "status", "api-abuse")
    return int(status.partition("Total failed:")[2].split()[0])


def load(options: dict[str, Any]) -> dict[str, float]:
    """CPU of those who read the API's log, a share of one core, at so many lines a second."""
    readers = ("fail2ban", "crowdsec")
    # Many clients, none of which reaches a quota.
    clients = [f"203.0.{number // 200}.{number % 200 + 1}" for number in range(20_000)]
    rate, seconds, step = options["rate"], options["seconds"], 0.1
    before = {unit: _seconds_of(unit) for unit in readers}
    read, began, portion = _counted_lines(), time.monotonic(), int(rate * step)
    for number in range(int(seconds / step)):
        first = number * portion % len(clients)
        _write(options["line"], clients[first : first + portion])
        time.sleep(max(0.0, began + (number + 1) * step - time.monotonic()))
    # Who is slower than the lines come reads on for a while.
    _until(lambda: _counted_lines() >= read + rate * seconds, 300)
    time.sleep(3)
    return {unit: (_seconds_of(unit) - before[unit]) / seconds for unit in readers}


if __name__ == "__main__":
    _parts: dict[str, Callable[[dict[str, Any]], Any]] = {
        "bans": bans,
        "burst": burst,
        "load": load,
        "memory": memory,
    }
    _given = json.loads(sys.argv[1])
    print(json.dumps(_parts[_given["part"]](_given)))
