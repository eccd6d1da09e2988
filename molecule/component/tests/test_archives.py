"""Archives: verified before anything is touched, complete or not there, one link for all programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.integration.component import (
    HOSTS,
    Archive,
    Task,
    all_changed,
    aside,
    each,
    install,
    on_hosts,
    service,
    shell,
    verify,
)

Maker = Callable[..., Archive]
UNIT = """[Unit]
Description=A daemon from an archive
[Service]
User=demo
ExecStart=/usr/local/bin/demo --web.listen-address=127.0.0.1:9199
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
ABSENT = install(name="demo", state="absent")
NOTHING_LEFT = shell(
    "! ls -d /opt/koprogo /usr/local/bin/demo /etc/systemd/system/demo.service"
    " /var/lib/koprogo/install/demo.json /var/tmp/koprogo-* 2>/dev/null"
)


def demo(version: str, archive: Archive, **more: Any) -> Task:
    """The component of these tests."""
    options: dict[str, Any] = {
        "name": "demo",
        "method": "archive",
        "version": version,
        "archive": {
            "source": archive.path,
            "sha256": archive.sha256,
            "binaries": {"demo": "/usr/local/bin/demo"},
        },
        "user": "demo",
        "directories": ["/var/lib/demo"],
        "unit": {"name": "demo.service", "content": UNIT},
        **more,
    }
    return install(**options)


def running(version: str) -> Task:
    """The process runs the program of this version."""
    pid = "$(systemctl show --value -p MainPID demo)"
    return shell(f"test $(readlink /proc/{pid}/exe) = /opt/koprogo/demo/{version}/demo")


@pytest.fixture(autouse=True)
def without_the_demo() -> Iterator[None]:
    yield
    aside(
        "systemctl disable --quiet --now demo lab-mirror 2>/dev/null; umount -q /opt/koprogo/demo;"
        "rm -rf /opt/koprogo /usr/local/bin/demo /etc/systemd/system/demo.service /var/lib/demo"
        " /var/lib/koprogo/install/demo.json; userdel demo 2>/dev/null; systemctl daemon-reload"
    )


def test_a_life(archives: Maker) -> None:
    """Installed, run, upgraded, taken back, removed."""
    one, two, three = archives("1.0"), archives("2.0", compression="xz"), archives("3.0")
    serve = [service("demo.service"), verify("demo.service", listen=["127.0.0.1:9199"])]
    rows = on_hosts(
        *(demo("1.0", one), *serve, running("1.0")),
        *(demo("1.0", one), *serve),
        *(demo("2.0", two), *serve, running("2.0")),
        *(demo("1.0", one), *serve, running("1.0")),
        *(demo("3.0", three), *serve, running("3.0")),
        shell("ls /opt/koprogo/demo; stat -c '%U %a' /var/lib/demo; getent passwd demo"),
        shell("echo precious > /var/lib/demo/data"),
        *(ABSENT, ABSENT),
        NOTHING_LEFT,
        shell(
            "cat /var/lib/demo/data && ! systemctl is-active demo && ! pgrep -f '/opt/[k]oprogo'"
        ),
    )
    for results in each(rows):
        assert all_changed(results) == [
            *(True, True, False, True),
            *(False, False, False),
            *(True, True, False, True) * 3,
            *(True, True),
            *(True, False),
            *(True, True),
        ]
        # Program, user, folder, link; then the unit.
        assert len(results[0]["diff"]) == 2
        assert "outdated: /opt/koprogo/demo/1.0/demo is running" in results[8]["diff"][0]["before"]
        listing = results[19]["stdout_lines"]
        assert listing[:4] == ["1.0", "3.0", "current", "demo 750"]
        assert listing[4].endswith(":/nonexistent:/usr/sbin/nologin")
        assert results[21]["kept"] == ["directory /var/lib/demo", "user demo"]
        assert results[24]["stdout"].startswith("precious")


def test_check_mode_predicts_the_run(archives: Maker) -> None:
    tasks = [
        demo("1.0", archives("1.0")),
        service("demo.service"),
        verify("demo.service", listen=["127.0.0.1:9199"]),
    ]
    predicted, real = on_hosts(*tasks, NOTHING_LEFT, check=True), on_hosts(NOTHING_LEFT, *tasks)
    again = on_hosts(*tasks, check=True)
    for host in HOSTS:
        assert all_changed(predicted[host])[:3] == [True, True, False]
        assert all_changed(real[host]) == [True, True, True, False]
        assert predicted[host][0]["diff"] == real[host][1]["diff"]
        assert all_changed(again[host]) == [False, False, False]


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
def test_bad_archives_change_nothing(archives: Maker, tmp_path: Path, check: bool) -> None:
    good = archives("1.0")
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(b"no archive")
    wrong = Archive(path=good.path, sha256="0" * 64)
    missing = Archive(path="/nowhere/demo.tar.gz", sha256=good.sha256)
    without = Archive(path=good.path, sha256="")
    url = Archive(path="http://127.0.0.1:1/demo.tar.gz", sha256=good.sha256)
    foreign = archives("arm", machine=0xB7)
    rows = on_hosts(
        demo("1.0", wrong),
        demo("1.0", missing),
        demo("1.0", without),
        demo("1.0", Archive(path=str(damaged), sha256=_digest(damaged))),
        demo("1.0", url),
        demo("1.0", foreign),
        NOTHING_LEFT,
        check=check,
    )
    found_on_the_control_node = 3
    sentences = [
        f"expected sha256 {'0' * 64}, found {good.sha256}. Nothing was changed",
        "expected the file /nowhere/demo.tar.gz on the control node, found none",
        "demo_archive_sha256: expected the sha256 of the file, found nothing",
        "The archive cannot be unpacked: expected tar.gz, tar.xz, tar.bz2 or zip",
        "http://127.0.0.1:1/demo.tar.gz: cannot be downloaded by this host: Connection refused",
        "The program demo was built for arm64, this host is amd64",
    ]
    for results in each(rows):
        for number, sentence in enumerate(sentences):
            if check and number >= found_on_the_control_node:
                continue  # Only a real run unpacks and downloads.
            assert results[number]["failed"]
            assert sentence in results[number]["msg"]
        assert check or results[-1]["changed"]


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_fetched_by_the_host(archives: Maker) -> None:
    """Over HTTP, where a connection that is cut leaves nothing behind."""
    archive = archives("1.0")
    size = Path(archive.path).stat().st_size
    server = (
        "import http.server, sys\n"
        "data = open('/srv/demo.tar.gz', 'rb').read()\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', str(len(data)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(data[:1000] if 'cut' in self.path else data)\n"
        "http.server.HTTPServer(('127.0.0.1', 8999), H).serve_forever()\n"
    )
    put = {
        "ansible.builtin.copy": {"src": archive.path, "dest": "/srv/demo.tar.gz", "mode": "0644"}
    }
    code = {"ansible.builtin.copy": {"content": server, "dest": "/srv/mirror.py", "mode": "0644"}}

    def at(path: str) -> Archive:
        return Archive(path=f"http://user:hunter2@127.0.0.1:8999/{path}", sha256=archive.sha256)

    rows = on_hosts(
        put,
        code,
        shell("systemd-run --unit lab-mirror python3 /srv/mirror.py; sleep 1"),
        demo("1.0", at("cut")),
        NOTHING_LEFT,
        demo("1.0", at("demo.tar.gz")),
        demo("1.0", at("demo.tar.gz")),
        shell(
            "systemctl stop lab-mirror; rm /srv/mirror.py /srv/demo.tar.gz;"
            "find /var/lib/koprogo /var/tmp -size +1M"
        ),
    )
    assert size > 1000
    for results in each(rows):
        assert all_changed(results)[3:] == ["failed", True, True, False, True]
        assert "hunter2" not in str(results[3]["msg"]) + str(results[5]["archive"])
        assert results[7]["stdout"] == ""


def test_no_room_to_unpack(archives: Maker) -> None:
    rows = on_hosts(
        shell("mkdir -p /opt/koprogo/demo && mount -t tmpfs -o size=1m none /opt/koprogo/demo"),
        demo("1.0", archives("1.0")),
        shell('test -z "$(ls -A /opt/koprogo/demo)" && ! test -e /usr/local/bin/demo'),
        shell("umount /opt/koprogo/demo; rmdir /opt/koprogo/demo /opt/koprogo"),
    )
    for results in each(rows):
        assert all_changed(results) == [True, "failed", True, True]
        assert "no space left" in results[1]["msg"]


def test_files_of_others_come_back(archives: Maker) -> None:
    rows = on_hosts(
        shell(
            "echo theirs > /usr/local/bin/demo; echo '[Unit]' > /etc/systemd/system/demo.service"
        ),
        demo("1.0", archives("1.0")),
        shell("test -L /usr/local/bin/demo"),
        ABSENT,
        shell(
            "grep -x theirs /usr/local/bin/demo; grep -x '\\[Unit\\]' /etc/systemd/system/demo.service"
        ),
        shell("rm /usr/local/bin/demo /etc/systemd/system/demo.service; systemctl daemon-reload"),
    )
    for results in each(rows):
        assert all_changed(results) == [True] * 6


def test_from_archive_to_package_and_none(archives: Maker) -> None:
    unit = {"name": "demo.service"}
    rows = on_hosts(
        demo("1.0", archives("1.0")),
        install(name="demo", method="none", commands=["demo"], unit=unit),
        install(name="demo", packages=["lab-library"], unit=unit),
        install(name="demo", method="none", commands=["demo", "sh"], unit=unit),
        ABSENT,
        NOTHING_LEFT,
        shell("! command -v lab-library"),
    )
    for results in each(rows):
        assert all_changed(results) == [True, False, True, "failed", True, True, True]
        assert results[3]["msg"] == (
            "demo: demo_install is none, so this host must have demo, demo.service, but has not. "
            "Install it by other means, or set demo_install to package or archive."
        )
