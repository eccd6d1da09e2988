"""Verification: each thing that is wrong is found, and named."""

from __future__ import annotations

import testinfra

from tests.integration.component import all_changed, each, on_hosts, service, shell, verify

EXPORTER = "prometheus-node-exporter.service"
METRICS = "http://127.0.0.1:9100/metrics"
SERVER = """
import socket, sys, time
kept = []
for item in sys.argv[1:]:
    kind, address, port = item.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.bind((address, int(port)))
    if kind == "tcp":
        s.listen()
    kept.append(s)
time.sleep(1000)
"""


def test_what_is_well(host: testinfra.host.Host) -> None:
    rows = on_hosts(
        verify(EXPORTER, listen=["127.0.0.1:9100"], probes=[{"url": METRICS}], max_exposure=9.2),
        verify(EXPORTER, listen_any=True),
    )
    for results in each(rows):
        assert all_changed(results) == [False, False]
        assert results[0]["verified"]
        assert results[0]["sockets"] == ["127.0.0.1:9100"]
        assert 5_000_000 < results[0]["memory_bytes"] < 100_000_000
        assert 5 < results[0]["exposure"] <= 9.2
        assert results[0]["restarts"] == 0
    process = host.process.get(comm="prometheus-node")
    assert process.pid in {results[0]["pid"] for results in rows.values()}


def test_what_is_wrong() -> None:
    rows = on_hosts(
        verify(EXPORTER, listen=["127.0.0.1:9101"], listen_timeout=0.5),
        verify(EXPORTER),
        verify(EXPORTER, listen=["*:9100"], listen_timeout=0.5),
        verify(EXPORTER, listen=["127.0.0.1:9100"], max_exposure=2.0),
        verify(
            EXPORTER,
            listen=["127.0.0.1:9100"],
            probes=[{"url": METRICS, "status": 204, "timeout": 1}],
        ),
        verify(
            EXPORTER,
            listen=["127.0.0.1:9100"],
            probes=[{"url": METRICS, "metric": "nothing", "timeout": 1}],
        ),
        verify("lab-nowhere.service"),
        verify(EXPORTER, listen=["localhost:9100"]),
        shell(f"systemctl disable --quiet {EXPORTER}"),
        verify(EXPORTER, listen=["127.0.0.1:9100"]),
        shell(f"systemctl enable --quiet {EXPORTER}; systemctl stop {EXPORTER}"),
        verify(EXPORTER, listen=["127.0.0.1:9100"], probes=[{"url": METRICS}]),
        service(EXPORTER),
    )
    sentences = {
        0: "expected it to listen on 127.0.0.1:9101; it listens on 127.0.0.1:9100, which is not expected",
        1: "it listens on 127.0.0.1:9100, which is not expected",
        2: "expected it to listen on *:9100; it listens on 127.0.0.1:9100",
        3: "expected an exposure of at most 2 (systemd-analyze security), found ",
        4: "answered 200, expected 204",
        5: "has no sample of nothing",
        6: "there is no such unit",
        7: "listen: expected address:port such as 127.0.0.1:9090 or [::1]:9090, found 'localhost:9100'",
        9: "expected it to be enabled at boot, found disabled",
        11: "expected it to be active, found inactive (dead",
    }
    for results in each(rows):
        for number, sentence in sentences.items():
            assert results[number]["failed"]
            assert sentence in results[number]["msg"].splitlines()[0]
        assert results[12]["changed"]


def test_in_check_mode_a_finding_is_a_warning() -> None:
    """The tasks before have only said what they would change."""
    for results in each(
        on_hosts(verify(EXPORTER, listen=["127.0.0.1:9101"], listen_timeout=0.5), check=True)
    ):
        assert all_changed(results) == [False]
        assert not results[0]["verified"]
        assert "expected it to listen on 127.0.0.1:9101" in results[0]["warnings"][0]


# What a service binds, what is expected of it, what is found.
CASES: list[tuple[str, dict[str, list[str]], str]] = [
    ("tcp,127.0.0.1,7001", {"listen": ["127.0.0.1:7001"]}, ""),
    ("tcp,127.0.0.1,7002 tcp,127.0.0.1,7003", {"listen": ["127.0.0.1:7003", "127.0.0.1:7002"]}, ""),
    ("tcp,0.0.0.0,7004", {"listen": ["127.0.0.1:7004"]}, "it listens on *:7004"),
    ("tcp,0.0.0.0,7005", {"listen": ["*:7005"]}, ""),
    ("udp,127.0.0.1,7006", {"listen_udp": ["127.0.0.1:7006"]}, ""),
    ("udp,0.0.0.0,7007", {}, "it listens on *:7007/udp"),
    ("", {"listen": ["127.0.0.1:9100"]}, "127.0.0.1:9100, but prometheus-node (pid"),
]


def test_sockets() -> None:
    code = {"ansible.builtin.copy": {"content": SERVER, "dest": "/srv/serve.py", "mode": "0644"}}
    units = range(len(CASES))
    start = "".join(
        f"systemd-run --collect --unit lab-serve{n} python3 /srv/serve.py {CASES[n][0]};"
        for n in units
    )
    rows = on_hosts(
        code,
        shell(start),
        *(
            verify(f"lab-serve{n}.service", enabled=False, listen_timeout=3, **CASES[n][1])
            for n in units
        ),
        shell("systemctl stop 'lab-serve*'"),
    )
    for results in each(rows):
        for case, result in zip(CASES, results[2:-1], strict=True):
            if case[2]:
                assert result["failed"]
                assert case[2] in result["msg"].splitlines()[0]
            else:
                assert not result.get("failed"), result["msg"]
