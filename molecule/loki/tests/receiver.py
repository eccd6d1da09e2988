"""Runs in a container: takes what Loki's ruler sends to an Alertmanager, and prints the alerts' names."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    """POST /api/v2/alerts."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for alert in json.loads(body):
            sys.stdout.write(
                f"{self.path} {alert['labels']['alertname']} {alert['labels']['job']}\n"
            )
        sys.stdout.flush()
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Only alerts are printed."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", 9193), Handler).serve_forever()
