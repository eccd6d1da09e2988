#!/usr/bin/python3
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This is NOT Grafana. It stands in for it in tests of the role `grafana` where Grafana cannot be had.

It knows what the role touches and nothing else: the command line of `grafana server` and `grafana cli
admin reset-admin-password`, grafana.ini with $__file{}, the first start's administrator, data sources and
dashboards from provisioning files, and a few pages of the HTTP interface. All that it answers says that it
is a stand-in.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

NOTE = "This is a stand-in for tests, not Grafana."
_FILE = re.compile(r"\$__file\{([^}]+)\}")


class Settings:
    """grafana.ini, with files in place of $__file{} and GF_ variables over it."""

    def __init__(self, path: str) -> None:
        """Read the file; one that cannot be read ends the program, as it ends Grafana."""
        self._ini = configparser.RawConfigParser(strict=True)
        with Path(path).open(encoding="utf-8") as file:
            self._ini.read_file(file)

    def get(self, section: str, key: str, default: str = "") -> str:
        """One value."""
        name = f"GF_{section}_{key}".upper().replace(".", "_")
        if name in os.environ:
            return os.environ[name]
        if f"{name}__FILE" in os.environ:
            return Path(os.environ[f"{name}__FILE"]).read_text(encoding="utf-8").strip()
        value = self._ini.get(section, key, fallback=default)
        return _FILE.sub(lambda m: Path(m.group(1)).read_text(encoding="utf-8").strip(), value)


class Store:
    """The database: one administrator, the provisioned data sources."""

    def __init__(self, settings: Settings) -> None:
        """Open it, and make the administrator at the first start."""
        self._path = Path(settings.get("paths", "data", "/var/lib/grafana")) / "grafana.db"
        with self._open() as base:
            base.execute(
                "CREATE TABLE IF NOT EXISTS user (id INTEGER PRIMARY KEY, login, salt, hash)"
            )
            base.execute("CREATE TABLE IF NOT EXISTS data_source (name PRIMARY KEY, source, body)")
            if base.execute("SELECT 1 FROM user").fetchone() is None:
                login = settings.get("security", "admin_user", "admin")
                base.execute("INSERT INTO user VALUES (1, ?, '', '')", (login,))
                self._set_password(base, settings.get("security", "admin_password", "admin"))

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        base = sqlite3.connect(self._path, timeout=10)
        try:
            with base:
                yield base
        finally:
            base.close()

    @staticmethod
    def _hash(password: str, salt: str) -> str:
        return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 10_000).hex()

    def _set_password(self, base: sqlite3.Connection, password: str) -> None:
        salt = secrets.token_hex(8)
        base.execute(
            "UPDATE user SET salt = ?, hash = ? WHERE id = 1", (salt, self._hash(password, salt))
        )

    def set_password(self, password: str) -> None:
        """Give the administrator another password."""
        with self._open() as base:
            self._set_password(base, password)

    def accepts(self, login: str, password: str) -> bool:
        """Whether the credentials are the administrator's."""
        with self._open() as base:
            known, salt, digest = base.execute("SELECT login, salt, hash FROM user").fetchone()
        return login == known and hmac.compare_digest(self._hash(password, salt), digest)

    def provision(self, folder: Path) -> None:
        """Bring the data sources to what the files say, with prune and deleteDatasources."""
        with self._open() as base:
            for path in sorted(folder.glob("*.y*ml")):
                content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
                wanted = content.get("datasources") or []
                for item in content.get("deleteDatasources") or []:
                    base.execute("DELETE FROM data_source WHERE name = ?", (item["name"],))
                if content.get("prune"):
                    for (name,) in base.execute(
                        "SELECT name FROM data_source WHERE source = ?", (path.name,)
                    ).fetchall():
                        if name not in [item["name"] for item in wanted]:
                            base.execute("DELETE FROM data_source WHERE name = ?", (name,))
                if sum(bool(item.get("isDefault")) for item in wanted) > 1:
                    raise SystemExit(f"{path}: only one data source can be the default")
                for item in wanted:
                    body = {k: v for k, v in item.items() if k != "secureJsonData"}
                    base.execute(
                        "REPLACE INTO data_source VALUES (?, ?, ?)",
                        (item["name"], path.name, json.dumps({"type": item["type"], **body})),
                    )

    def sources(self) -> list[Any]:
        """All data sources."""
        with self._open() as base:
            return [
                json.loads(body)
                for (body,) in base.execute("SELECT body FROM data_source ORDER BY name")
            ]


def dashboards(provisioning: Path) -> list[dict[str, str]]:
    """Uid and title of every dashboard that the providers' folders hold now."""
    found = []
    for path in sorted((provisioning / "dashboards").glob("*.y*ml")):
        for provider in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get(
            "providers", []
        ):
            for file in sorted(Path(provider["options"]["path"]).glob("**/*.json")):
                board = json.loads(file.read_text(encoding="utf-8"))
                found.append({"uid": board.get("uid", ""), "title": board.get("title", "")})
    return found


def handler(store: Store, provisioning: Path) -> type[BaseHTTPRequestHandler]:
    """The pages."""

    class Handler(BaseHTTPRequestHandler):
        def _allowed(self) -> bool:
            scheme, _space, value = self.headers.get("Authorization", "").partition(" ")
            if scheme != "Basic":
                return False
            login, _colon, password = base64.b64decode(value).decode("utf-8").partition(":")
            return store.accepts(login, password)

        def _answer(self, status: int, body: Any, kind: str = "application/json") -> None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Stand-In", NOTE)
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            """Answer a request."""
            path = self.path.partition("?")[0]
            if path == "/api/health":
                self._answer(200, {"database": "ok", "version": "0.0.0~standin", "note": NOTE})
            elif path == "/metrics":
                self._answer(200, "grafana_standin_info 1\n", "text/plain; version=0.0.4")
            elif path in ("/", "/login"):
                self._answer(200, NOTE + "\n", "text/plain")
            elif not self._allowed():
                self._answer(401, {"message": "Invalid username or password", "note": NOTE})
            elif path == "/api/user":
                self._answer(200, {"id": 1, "isGrafanaAdmin": True, "note": NOTE})
            elif path == "/api/datasources":
                self._answer(200, store.sources())
            elif path == "/api/search":
                self._answer(200, dashboards(provisioning))
            else:
                self._answer(404, {"message": "Not found", "note": NOTE})

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Requests are not logged."""

    return Handler


def serve(settings: Settings) -> None:
    """Provision, then answer until the end."""
    provisioning = Path(settings.get("paths", "provisioning", "/etc/grafana/provisioning"))
    store = Store(settings)
    store.provision(provisioning / "datasources")
    address = settings.get("server", "http_addr")
    port = int(settings.get("server", "http_port", "3000"))
    # As in Grafana, an empty address means all of them: the role has to say better.
    server = ThreadingHTTPServer((address, port), handler(store, provisioning))
    sys.stdout.write(f"{NOTE} It listens on {address}:{port}.\n")
    sys.stdout.flush()
    server.serve_forever()


def reset_password(settings: Settings) -> None:
    """Read the administrator's new password from the standard input."""
    password = sys.stdin.readline().rstrip("\n")
    if len(password) <= 4:
        raise SystemExit("new password is too short")
    Store(settings).set_password(password)
    sys.stdout.write("Admin password changed successfully\n")


def main(argv: Sequence[str]) -> None:
    """The two command lines that the role uses."""
    parser = argparse.ArgumentParser(description=NOTE)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("server", "cli"):
        command = commands.add_parser(name)
        command.add_argument("--config", default="/etc/grafana/grafana.ini")
        command.add_argument("--homepath", default="/usr/share/grafana")
        command.add_argument("--packaging", default="")
        command.add_argument("--pidfile", default="")
        command.add_argument("rest", nargs="*")
    options, further = parser.parse_known_args(argv)
    settings = Settings(options.config)
    if options.command == "server":
        serve(settings)
    elif options.rest == ["admin", "reset-admin-password"] and further == ["--password-from-stdin"]:
        reset_password(settings)
    else:
        raise SystemExit(f"{NOTE} It does not know this command.")


if __name__ == "__main__":
    main(sys.argv[1:])
