"""What CrowdSec asks of its central API, on this host alone: sign up, sign in, and a list of addresses.

Usage: central_api CERTIFICATE KEY LOG ADDRESS...
"""

from __future__ import annotations

import http.server
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

CERTIFICATE, KEY, LOG, *LISTED = sys.argv[1:]
BANS = [
    {
        "duration": "24h",
        "origin": "CAPI",
        "scenario": "crowdsecurity/http-probing",
        "scope": "ip",
        "type": "ban",
        "value": address,
    }
    for address in LISTED
]


class CentralApi(http.server.BaseHTTPRequestHandler):
    """Answers, and writes a line for each question."""

    def answer(self) -> None:
        """Say yes to everything."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        with Path(LOG).open("a", encoding="utf-8") as log:
            log.write(f"{self.command} {path}\n")
        body: dict[str, Any] = {"message": "OK"}
        if path.endswith("/watchers/login"):
            expire = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            body = {"code": 200, "expire": expire, "token": "x.y.z"}
        elif path.endswith("/decisions/stream"):
            body = {"new": BANS, "deleted": []}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names


server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), CentralApi)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
