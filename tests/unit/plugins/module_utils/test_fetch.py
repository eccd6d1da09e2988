# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import (
    SourceError,
    ask,
    check_digest,
    digest_of,
    fetch,
    is_url,
    parse_sha256,
    pick,
    shown_url,
    url_secrets,
)
from tests.unit.plugins.module_utils.install_lab import sha256

DATA = b"an archive" * 1000


class Mirror(BaseHTTPRequestHandler):
    """Answers well, cut short, slowly, elsewhere, or not at all."""

    seen: list[str | None] = []  # noqa: RUF012 - the handler is made anew for each request

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        if self.path.startswith("/missing"):
            self.send_error(404, "Not Found")
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header(
                "Location", f"http://localhost:{self.headers['Host'].partition(':')[2]}/good"
            )
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        if self.path == "/silent":
            time.sleep(3)
        elif self.path == "/cut":
            self.wfile.write(DATA[:100])
        else:
            self.wfile.write(DATA)

    def log_message(self, *_arguments: object) -> None:
        return


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    Mirror.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_download_and_digest(mirror: str) -> None:
    into = io.BytesIO()
    assert fetch(f"{mirror}/good", into) == sha256(DATA)
    assert into.read() == DATA


def test_a_file_url(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    assert fetch(f"file://{tmp_path}/x", io.BytesIO()) == sha256(DATA)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/missing", "answered 404"),
        ("/cut", "cannot be downloaded|connection ended"),
        ("/silent", "did not answer in time|timed out"),
    ],
)
def test_failures_say_what_to_do(mirror: str, path: str, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(SourceError, match=message):
        fetch(mirror + path, io.BytesIO(), stall=0.3)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/good", ""),
        ("/missing", "the server answered 404"),
        ("/silent", "the server did not answer in time"),
    ],
)
def test_asking_downloads_nothing(mirror: str, path: str, reason: str) -> None:
    found = ask(mirror + path, timeout=0.3)
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_asking_where_nothing_can_answer(tmp_path: Path) -> None:
    assert ask("http://127.0.0.1:1/x", timeout=1) == "Connection refused"
    assert ask(f"file://{tmp_path}/none", timeout=1) != ""
    assert "expected a scheme of https, http, file" in ask("ftp://127.0.0.1/x", timeout=1)


def test_nobody_listens() -> None:
    with pytest.raises(SourceError, match=r"Connection refused.*Give the address of a mirror"):
        fetch("http://127.0.0.1:1/x", io.BytesIO())


def test_a_password_is_sent_and_never_shown(mirror: str) -> None:
    url = mirror.replace("http://", "http://me:pa%20ss@")
    fetch(f"{url}/good", io.BytesIO())
    assert Mirror.seen == ["Basic " + base64.b64encode(b"me:pa ss").decode()]
    with pytest.raises(SourceError) as caught:
        fetch(f"{url}/missing?token=secret", io.BytesIO())
    assert "pa%20ss" not in caught.value.message
    assert "secret" not in caught.value.message


def test_a_password_is_not_sent_on_to_another_host(mirror: str) -> None:
    fetch(mirror.replace("http://", "http://me:secret@") + "/moved", io.BytesIO())
    assert Mirror.seen[0] is not None
    assert Mirror.seen[1] is None


@pytest.mark.parametrize("url", ["ftp://x/y", "gopher://x"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="expected a scheme of https, http, file"):
        fetch(url, io.BytesIO())


def test_digest_leaves_the_file_at_its_beginning() -> None:
    file = io.BytesIO(DATA)
    assert digest_of(file) == sha256(DATA)
    assert file.read(2) == DATA[:2]


def test_a_wrong_checksum_names_both() -> None:
    with pytest.raises(SourceError, match=f"expected sha256 {'a' * 64}, found {'b' * 64}"):
        check_digest("b" * 64, expected="a" * 64, source="/x.tar.gz")
    check_digest("a" * 64, expected="a" * 64, source="/x.tar.gz")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A" * 64, "a" * 64), (f" sha256:{'b' * 64}\n", "b" * 64)],
)
def test_checksum_spellings(text: str, expected: str) -> None:
    assert parse_sha256(text, option="loki_archive_sha256") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "found nothing"), ("abc", "found 'abc'"), ("g" * 64, "hexadecimal"), ("a" * 63, "64")],
)
def test_bad_checksums(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"loki_archive_sha256: expected .*{message}"):
        parse_sha256(text, option="loki_archive_sha256")


def test_one_for_each_architecture() -> None:
    both = {"amd64": "x", "arm64": " y "}
    assert pick(both, architecture="arm64", option="o") == "y"
    assert pick("z", architecture="arm64", option="o") == "z"
    assert pick(None, architecture="arm64", option="o") == ""
    with pytest.raises(
        InputError, match="o: expected an entry for this host's architecture riscv64"
    ):
        pick(both, architecture="riscv64", option="o")
    with pytest.raises(InputError, match="o: expected a text or a mapping"):
        pick(5, architecture="amd64", option="o")  # type: ignore[arg-type]


def test_urls_and_paths() -> None:
    assert is_url("https://x/y")
    assert is_url("file:///x")
    assert not is_url("/srv/x.tar.gz")
    assert not is_url("files/x.tar.gz")
    assert shown_url("https://me:pw@x:8443/y?token=1#z") == "https://x:8443/y"
    assert shown_url("/srv/x") == "/srv/x"


@pytest.mark.parametrize(
    ("urls", "secrets"),
    [
        (["https://host/file", "/srv/file@x:y", "", None], set()),
        (["https://u:p%40ss@host/file?x=a@b"], {"p%40ss", "p@ss"}),
        (["https://token@host"], {"token"}),
        ([{"amd64": "https://u:one@host/a", "arm64": "https://u:two@[::1]:8/b"}], {"one", "two"}),
        (["https://[no:url@/x"], {"url"}),
    ],
)
def test_what_no_output_may_show_of_a_url(urls: list[object], secrets: set[str]) -> None:
    assert url_secrets(*urls) == secrets
