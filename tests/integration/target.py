"""A server in front of the sensor, and an attacker who writes each request as it is."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator

from tests.integration.ask import wait_for
from tests.integration.boxes import docker
from tests.integration.victim import Victim, on_each_victim

__all__ = ["send", "serving"]

# Answers everything with 200, as an API behind its TLS terminator: plain, and in front of the sensor.
_SERVER = """
import http.server, socket, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    do_POST = do_PUT = do_DELETE = do_GET
    def log_message(self, *_): pass
class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
six = Server6(("fd42:66::1", 8081), Handler)
threading.Thread(target=six.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("198.51.100.1", 8081), Handler).serve_forever()
"""
# One connection, many requests, each written as it is: no client library puts a path in order.
_CLIENT = """
import json, socket, sys, time
for source, raws in json.load(sys.stdin):
    six = ":" in source
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET); s.bind((source, 0)); s.settimeout(5)
    s.connect(("fd42:66::1" if six else "198.51.100.1", 8081))
    for raw in raws:
        time.sleep(float(sys.argv[1]))
        s.sendall(raw.encode()); assert s.recv(4096).startswith(b"HTTP/1.1 200"), raw
    s.close()
"""


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """A server on every host while the block runs."""

    def start(box: Victim) -> None:
        box.sh(f"systemd-run -q --unit probe-target python3 -c {shlex.quote(_SERVER)}")
        wait_for(
            lambda: box.sh("ss -Hltn sport = :8081").count(":8081") == 2,
            seconds=10,
            what="the server",
            every=0.2,
        )

    def stop(box: Victim) -> None:
        box.sh("systemctl stop probe-target")

    on_each_victim(start)()
    try:
        yield
    finally:
        on_each_victim(stop)()


def send(box: Victim, traffic: list[tuple[str, list[str]]], *, pause: float = 0.0) -> None:
    """Requests of some clients, one connection for each client, each C(pause) seconds after the last one."""
    inside = ("ip", "netns", "exec", "attacker", "python3", "-c", _CLIENT, str(pause))
    docker("exec", "-i", box.name, *inside, stdin=json.dumps(traffic))
