"""A receiver of notifications on a host's loopback: keeps each request as a line of JSON."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    """Accepts every POST."""

    def do_POST(self) -> None:
        """Write down path and body."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with Path(sys.argv[1]).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"path": self.path, "body": json.loads(body)}) + "\n")
        self.send_response(202)
        self.end_headers()
        self.wfile.write(b'{"status": "success"}')

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 18080), Receiver).serve_forever()
