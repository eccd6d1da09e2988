"""The administrator's password: asked, set, and a failure said plainly."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _grafana
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner


class Server:
    """Answers /api/user as Grafana does."""

    def __init__(self) -> None:
        self.password, self.status = "right", 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                given = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
                right = given == f"admin:{outer.password}"
                self.send_response(outer.status if right else 401)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


class Command(Runner):
    """Stands for Grafana's command."""

    def __init__(self, server: Server, *, rc: int = 0, works: bool = True) -> None:
        super().__init__()
        self.server, self.rc, self.works = server, rc, works
        self.argv: list[str] = []

    def run(self, argv: Any, **options: Any) -> Result:
        self.argv = list(argv)
        if self.works and not self.rc:
            self.server.password = options["stdin"].rstrip("\n")
        return Result(argv=self.argv, rc=self.rc, stdout="", stderr="database is locked", seconds=0)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def administrator(server: Server, password: str) -> _grafana.Administrator:
    return _grafana.Administrator(url=server.url, user="admin", password=password, timeout=0.5)


@pytest.mark.parametrize(("password", "accepted"), [("right", True), ("wrong", False)])
def test_asked(server: Server, password: str, accepted: bool) -> None:
    assert administrator(server, password).accepted() is accepted


def test_set_on_the_standard_input_only(server: Server) -> None:
    command = Command(server)
    administrator(server, "another").set_password(command, ["grafana", "cli"], run_as="grafana")
    assert command.argv == ["grafana", "cli"]
    assert administrator(server, "another").accepted()


def test_a_refusal_is_said(server: Server) -> None:
    with pytest.raises(_grafana.PasswordError, match="old one stays valid: database is locked"):
        administrator(server, "another").set_password(
            Command(server, rc=1), ["grafana"], run_as="grafana"
        )


def test_a_success_that_is_none_is_said(server: Server) -> None:
    with pytest.raises(_grafana.PasswordError, match="reported success, but"):
        administrator(server, "another").set_password(
            Command(server, works=False), ["grafana"], run_as="grafana"
        )


def test_an_answer_that_is_neither_is_an_error(server: Server) -> None:
    server.status = 503
    with pytest.raises(ServiceError, match="expected status 200 or 401, found 503"):
        administrator(server, "right").accepted()


def test_no_answer_is_an_error() -> None:
    nobody = _grafana.Administrator(
        url="http://127.0.0.1:9", user="admin", password="secret", timeout=0
    )
    with pytest.raises(ServiceError, match="expected Grafana to answer"):
        nobody.accepted()


@pytest.mark.parametrize("password", ["", "abcd", "two\nlines", "nul\0inside"])
def test_a_password_that_cannot_be(password: str) -> None:
    with pytest.raises(InputError):
        _grafana.check_password(password)
