"""Probes against a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import ProbeError
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker
from ansible_collections.koprogo.observability.plugins.module_utils._probe import (
    Probe,
    ask,
    await_probes,
    fetch,
    metric_values,
)

METRICS = """# HELP up_total x
# TYPE up_total counter
up_total{job="a",path="x\\"}y"} 1
up_total{job="b"} 2 1700000000000
up_total_other 9
loaded 1.7e+09
not_a_number NaN
"""


class Handler(BaseHTTPRequestHandler):
    """A few fixed answers."""

    ready = 0

    def do_GET(self) -> None:
        answers = {"/": (200, "hello world"), "/metrics": (200, METRICS), "/sad": (503, "not yet")}
        status, body = answers.get(self.path, (404, "?"))
        if self.path == "/later":
            type(self).ready += 1
            status, body = (200, "ok") if self.ready > 2 else (503, "token-1 is not ready")
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/")
            self.end_headers()
            return
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "none")
        self.send_response(200 if self.headers.get("X-Key") == "k" else 403)
        self.end_headers()
        self.wfile.write(length.encode())

    def log_message(self, *_arguments: Any) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"path": "/"}, ""),
        ({"path": "/", "matches": "^hello"}, ""),
        ({"path": "/", "matches": "bye"}, "does not match 'bye': hello world"),
        ({"path": "/sad"}, "answered 503, expected 200: not yet"),
        ({"path": "/sad", "status": 503}, ""),
        ({"path": "/moved", "status": 302}, ""),
        ({"path": "/metrics", "metric": "up_total"}, ""),
        ({"path": "/metrics", "metric": "up_tota"}, "has no sample of up_tota"),
        ({"path": "/metrics", "metric": 'up_total{job="c"}'}, "has no sample"),
        ({"path": "/metrics", "metric": 'up_total{job="b"}', "equals": 2}, ""),
        ({"path": "/metrics", "metric": "up_total", "equals": 2}, "is 1, expected 2"),
        ({"path": "/metrics", "metric": "up_total", "at_least": 1}, ""),
        ({"path": "/metrics", "metric": "up_total", "at_most": 1}, "is 2, expected at most 1"),
        ({"path": "/metrics", "metric": "not_a_number", "at_least": 0}, "expected at least 0"),
        ({"path": "/metrics", "metric": "loaded", "after_action": True}, "before the reload"),
    ],
)
def test_one_question(server: str, options: dict[str, Any], problem: str) -> None:
    probe = Probe.from_options({"url": server + options.pop("path"), **options})
    found = ask(probe, acted_at=1.8e9)
    assert (problem in found) if problem else found == ""


def test_a_proxy_of_the_environment_is_not_used(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch(f"{server}/").status == 200


def test_post_has_an_empty_body_and_headers(server: str) -> None:
    answer = fetch(f"{server}/x", method="POST", headers={"X-Key": "k"})
    assert (answer.status, answer.body) == (200, "0")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://127.0.0.1:1/", {}),
        ("https://127.0.0.1:1/", {}),
        ("https://127.0.0.1:1/", {"client_cert": "/nowhere"}),
        ("http://[", {}),
        ("http://127.0.0.1:99999/", {}),
    ],
)
def test_no_answer_is_an_answer(url: str, options: dict[str, Any]) -> None:
    answer = fetch(url, timeout=1, **options)
    assert answer.status == 0
    assert answer.error


def test_waiting_until_it_is_well(server: str) -> None:
    Handler.ready = 0
    evidence = await_probes([Probe(url=f"{server}/later")], interval=0.01)
    assert (evidence[0]["ok"], evidence[0]["tries"]) == (True, 3)


def test_giving_up_in_time(server: str) -> None:
    probes = [Probe(url=f"{server}/"), Probe(url=f"{server}/sad", timeout=0.2)]
    with pytest.raises(ProbeError, match=r"503.*not well within 0\.2 s") as caught:
        await_probes(probes, interval=0.01)
    assert [row["ok"] for row in caught.value.evidence["probes"]] == [True, False]


def test_giving_up_early_and_masked(server: str) -> None:
    Handler.ready = -1000
    with pytest.raises(ProbeError) as caught:
        await_probes(
            [Probe(url=f"{server}/later", timeout=60)],
            given_up=lambda: "demo.service is failed",
            masker=Masker(["token-1"]),
        )
    assert "demo.service is failed" in caught.value.message
    assert "token-1" not in caught.value.message + str(caught.value.evidence)


def test_labels_with_quotes_and_braces() -> None:
    assert metric_values(METRICS, 'up_total{job="a"}') == [1.0]
    assert metric_values("a 1\n a 2\na{} 3\na garbage\n", "a") == [1.0, 3.0]
