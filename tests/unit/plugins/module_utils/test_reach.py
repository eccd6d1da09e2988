"""Whether a host reaches what a run is about to fetch, on a host in a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _reach
from ansible_collections.koprogo.observability.plugins.module_utils._apt import Apt
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import SourceError
from ansible_collections.koprogo.observability.plugins.module_utils._reach import (
    Download,
    Reach,
    Vendor,
)
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record
from tests.unit.plugins.module_utils.install_lab import ListeningRunner

MAIN, UPDATES = "http://mirror/debian/", "http://other/debian/"
REFUSED = "Could not connect to mirror:80. - connect (111: Connection refused)"
LOKI = Vendor(
    option="loki_repository",
    name="grafana-labs",
    uri="https://apt.example",
    suites="stable",
    key="https://apt.example/gpg.key",
    packages=("loki",),
    version="",
)
RELEASE = "https://apt.example/dists/stable/"
ARCHIVE = Download(
    component="loki",
    option="loki_archive",
    url="https://u:p@files.example/loki.zip",
    sha256="0" * 64,
    judged=False,
)


@dataclass
class Host:
    """What the host has, what answers, and what was asked for."""

    root: Path
    installed: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=lambda: [f"{MAIN}dists/x/"])
    down: dict[str, str] = field(default_factory=dict)
    uris: list[str] | None = None
    asked: list[str] = field(default_factory=list)
    installing: list[str] = field(default_factory=list)

    @property
    def reach(self) -> Reach:
        runner = ListeningRunner(self.answer)
        return Reach(runner, Apt(runner), Places(root=self.root), temporary=str(self.root))

    def answer(self, argv: list[str]) -> tuple[int, str]:
        if argv[0] == "dpkg-query":
            rows = [f"installed\t{k}\t{v}" for k, v in self.installed.items() if k in argv]
            return 0, "\n".join(rows)
        if argv[-1] == "update":
            names = ("InRelease", "main/binary-amd64/Packages.xz")
            return 0, "\n".join(f"'{one}{name}' x 0" for one in self.sources for name in names)
        if "--print-uris" in argv:
            self.installing = argv[argv.index("install") + 1 :]
            uris = [f"'{uri}' a.deb 1 SHA256:0" for uri in self.uris or []]
            return (
                (100, "E: Unable to locate package") if self.uris is None else (0, "\n".join(uris))
            )
        assert argv[0] == "/usr/lib/apt/apt-helper"
        urls, targets = (argv[argv.index("download-file") + n :: 2] for n in (1, 2))
        text = ""
        for url, target in zip(urls, targets, strict=True):
            self.asked.append(url)
            reason = next((r for start, r in self.down.items() if url.startswith(start)), "")
            if reason:
                text += f"E: Failed to fetch {url}  {reason}\n"
            else:
                Path(target).touch()
        return (100 if text else 0), text

    def ask(self, url: str, *, timeout: float) -> str:
        assert timeout == 5
        self.asked.append(url)
        return next((r for start, r in self.down.items() if url.startswith(start)), "")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(root=tmp_path)
    monkeypatch.setattr(_reach, "ask", found.ask)
    return found


def test_nothing_is_asked_where_nothing_is_missing(host: Host) -> None:
    host.installed = {"prometheus": "2.42", "loki": "3.7.8"}
    host.down = {"http": REFUSED}
    assert host.reach.mirror_errors(["prometheus"]) == []
    assert host.reach.vendor_errors([LOKI]) == []
    assert host.asked == []


def test_a_mirror_that_is_down_is_named_without_its_password(host: Host) -> None:
    host.sources = ["http://u:p@mirror/debian/dists/x/"]
    host.down = {"http": REFUSED}
    (error,) = host.reach.mirror_errors(["prometheus"])
    assert error.startswith(
        "packages: expected a mirror that this host reaches, found http://mirror/debian/: "
        f"{REFUSED}; give it another one"
    )


@pytest.mark.parametrize(
    ("down", "uris", "errors"),
    [
        # Nothing is down; one that nothing comes from; one that something comes from; the cache has it all.
        ({}, None, 0),
        ({UPDATES: REFUSED}, [f"{MAIN}pool/p.deb"], 0),
        ({MAIN: REFUSED}, [f"{MAIN}pool/p.deb"], 1),
        ({MAIN: REFUSED, UPDATES: REFUSED}, [], 0),
        # Without lists nobody knows: only when every source is down.
        ({MAIN: REFUSED}, None, 0),
        ({MAIN: REFUSED, UPDATES: REFUSED}, None, 2),
    ],
)
def test_only_a_needed_mirror_counts(
    host: Host, down: dict[str, str], uris: list[str] | None, errors: int
) -> None:
    host.sources = [f"{MAIN}dists/x/", f"{UPDATES}dists/x-updates/"]
    host.down, host.uris = down, uris
    assert len(host.reach.mirror_errors(["prometheus"])) == errors


def test_a_mirror_of_several_suites_is_named_once(host: Host) -> None:
    host.sources = [f"{MAIN}dists/{suite}/" for suite in ("x", "x-updates")]
    host.down = {MAIN: REFUSED}
    assert len(host.reach.mirror_errors(["prometheus"])) == 1


def test_sources_that_are_not_on_the_web_are_left_alone(host: Host) -> None:
    host.sources += ["file:/srv/./", "cdrom://d/dists/x/"]
    host.down = {"http": REFUSED}
    assert host.reach.mirror_errors(["prometheus"]) == []
    assert host.asked == [f"{MAIN}dists/x/InRelease"]


def test_a_repository_of_the_old_kind_has_a_release_file(host: Host) -> None:
    host.down = {f"{MAIN}dists/x/InRelease": "404  Not Found"}
    assert host.reach.mirror_errors(["prometheus"]) == []
    assert host.asked == [f"{MAIN}dists/x/InRelease", f"{MAIN}dists/x/Release"]


def test_a_vendor_that_is_down(host: Host) -> None:
    host.down = {"https://apt.example/dists": REFUSED, LOKI.key: "Name or service not known"}
    release, key = host.reach.vendor_errors([LOKI])
    assert release.startswith(
        f"loki_repository: expected an address that this host reaches, found {RELEASE}: {REFUSED}; "
    )
    assert key.startswith("loki_repository_key: expected an address that this host reaches, found ")
    assert f"found {LOKI.key}: Name or service not known; " in key


def test_backports_are_on_the_mirror_of_the_distribution(host: Host) -> None:
    backports = replace(LOKI, option="suricata_install", uri="", suites="x-backports", key="")
    assert host.reach.vendor_errors([backports]) == []
    assert host.asked == [f"{MAIN}dists/x-backports/InRelease"]
    host.sources = [f"{UPDATES}dists/x-backports/", f"{MAIN}dists/x/"]
    host.down = {UPDATES: REFUSED}
    (error,) = host.reach.vendor_errors([backports])
    assert f"found {UPDATES}dists/x-backports/: {REFUSED}" in error
    host.sources = ["file:/srv/./"]
    assert host.reach.vendor_errors([backports]) == []


def test_a_key_that_is_here_is_not_asked_for(host: Host) -> None:
    sources = host.root / "etc/apt/sources.list.d"
    sources.mkdir(parents=True)
    (sources / "koprogo-grafana-labs.sources").touch()
    assert host.reach.vendor_errors([LOKI]) == []
    assert host.asked == [f"{RELEASE}InRelease"]


def test_a_file_that_is_not_to_be_had(host: Host) -> None:
    host.down = {ARCHIVE.url: "the server answered 404 Not Found"}
    (error,) = host.reach.download_errors([ARCHIVE])
    assert error.startswith(
        "loki_archive: expected a file that this host can fetch, found https://files.example/loki.zip: "
        "the server answered 404 Not Found; "
    )


@pytest.mark.parametrize(
    ("content", "judged", "error"),
    [
        (b"the announced one", True, ""),
        (b"another one", True, "loki_archive_sha256: expected the checksum of "),
        (b"another one", False, ""),
    ],
)
def test_a_file_is_the_announced_one(
    host: Host, tmp_path: Path, content: bytes, judged: bool, error: str
) -> None:
    file = tmp_path / "loki.zip"
    file.write_bytes(content)
    announced = hashlib.sha256(b"the announced one").hexdigest()
    one = replace(ARCHIVE, url=file.as_uri(), sha256=announced, judged=judged)
    found = host.reach.download_errors([one])
    assert [text.startswith(error) for text in found] == [True] * bool(error)
    if error:
        is_that = hashlib.sha256(content).hexdigest()
        assert found[0].endswith(f"{one.url}, which is {is_that}, found {announced}")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SourceError("expected 9 bytes, it ended after 3."), "expected 9 bytes, it ended after 3"),
        (
            SourceError("x.", reason="Connection refused"),
            "expected a file that this host can fetch, found https://files.example/loki.zip: "
            "Connection refused; give the address of a mirror that it reaches, or a path on the "
            "control node",
        ),
    ],
)
def test_a_file_that_is_compared_is_asked_for_once(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: SourceError, told: str
) -> None:
    def fetch(_url: str, _into: BinaryIO) -> str:
        raise error

    monkeypatch.setattr(_reach, "fetch", fetch)
    assert host.reach.download_errors([replace(ARCHIVE, judged=True)]) == [f"loki_archive: {told}"]
    assert host.asked == []


def test_a_pinned_package_of_another_version_is_asked_for(host: Host) -> None:
    host.installed = {"prometheus": "2.42.0+ds-5"}
    host.down = {MAIN: REFUSED}
    host.uris = [f"{MAIN}pool/p.deb"]
    assert host.reach.mirror_errors(["prometheus=2.42.0"]) == []
    (error,) = host.reach.mirror_errors(["prometheus=2.45"])
    assert error.startswith("packages: expected a mirror that this host reaches")
    assert host.installing == ["prometheus=2.45*"]


def test_a_file_that_is_installed_is_not_asked_for(host: Host) -> None:
    tree = host.root / "opt/koprogo/loki/3.7.8/.koprogo"
    tree.mkdir(parents=True)
    text = f'{{"sha256": "{ARCHIVE.sha256}", "version": "3.7.8", "binaries": {{}}}}'
    (tree / "tree.json").write_text(text)
    host.installed = {"grafana": "12.0"}
    record = Record(name="grafana")
    record.package_file = {"sha256": "1" * 64, "package": "grafana", "version": "12.0"}
    record.save(Places(root=host.root))
    package = Download(
        component="grafana", option="grafana_package_file", url="https://x/g.deb", sha256="1" * 64
    )
    other = replace(ARCHIVE, sha256="2" * 64, judged=None)
    assert host.reach.missing([ARCHIVE, package, other]) == [other]
    # Who compares it with its checksum is not decided yet.
    assert host.reach.download_errors([other]) == []
    assert host.asked == []
