# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve all stand-ins on one port: python3 -m lab.receivers --listen 127.0.0.1:18080 --record FILE."""

from __future__ import annotations

import argparse
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .checks import CHECKS, Request

# What each service answers, because its client looks at it.
_ANSWERS = {
    "/pagerduty": (202, '{"status": "success", "message": "Event processed"}'),
    "/slack": (200, "ok"),
    "/sns": (
        200,
        '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
        "<MessageId>1</MessageId></PublishResult><ResponseMetadata><RequestId>1</RequestId>"
        "</ResponseMetadata></PublishResponse>",
    ),
}


class Receiver(BaseHTTPRequestHandler):
    """Takes a request, checks it, writes it down as a line of JSON, answers."""

    record: Path
    aws_secret = ""
    lock = threading.Lock()

    def _judge(self, request: Request, service: str) -> list[str]:
        if not service:
            return [f"no service at {request.path}"]
        try:
            return list(CHECKS[service](request))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return [f"the request cannot be read: {error!r}"]

    def do_POST(self) -> None:
        """Check and write down."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.title(): value for name, value in self.headers.items()}
        request = Request(
            method=self.command,
            path=self.path,
            headers=headers,
            body=body,
            aws_secret=self.aws_secret,
        )
        service = next((start for start in CHECKS if self.path.startswith(start)), "")
        errors = self._judge(request, service)
        self._write(request, service, errors)
        status, answer = _ANSWERS.get(service, (200, "OK"))
        if errors:
            status, answer = 400, "; ".join(errors)
        data = answer.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _write(self, request: Request, service: str, errors: list[str]) -> None:
        try:
            shown: Any = request.form() if service == "/sns" else request.json()
        except ValueError:
            shown = request.body.decode(errors="replace")
        entry = {
            "at": time.time(),
            "service": service.strip("/"),
            "from": self.client_address[0],
            "path": request.path,
            "authorization": request.headers.get("Authorization", ""),
            "errors": errors,
            "body": shown,
        }
        with self.lock, self.record.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def log_message(self, *_arguments: object) -> None:
        """The record says it all."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="receivers", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:18080", metavar="ADDRESS:PORT")
    parser.add_argument("--record", required=True, type=Path, help="gets a line of JSON a request")
    parser.add_argument("--certificate", help="serve HTTPS with this certificate")
    parser.add_argument("--key", help="the certificate's key")
    parser.add_argument("--aws-secret", default="", help="check the signatures made with it")
    arguments = parser.parse_args()
    Receiver.record = arguments.record
    Receiver.aws_secret = arguments.aws_secret
    address, _, port = arguments.listen.rpartition(":")
    server = ThreadingHTTPServer((address, int(port)), Receiver)
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
