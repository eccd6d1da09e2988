"""What the prober finds, asked as Prometheus does."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import testinfra
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.integration.ask import get, sockets, wait_for
from tests.integration.boxes import Box

API, MON = "probe-api12", "probe-mon13"
CONVERGE = Path(__file__).parents[1] / "converge.yml"
UNIT = "prometheus-blackbox-exporter"
SERVER = """
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/health": 200, "/moved": 302, "/tea": 418}.get(self.path, 500))
        self.send_header("Location", "/health")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8080), H).serve_forever()
"""


def of(name: str) -> Any:
    return testinfra.get_host(f"docker://{name}")


def listens(name: str) -> bool:
    return bool(of(name).socket("tcp://127.0.0.1:8080").is_listening)


@pytest.fixture(params=[API, MON])
def prober(request: pytest.FixtureRequest) -> Any:
    return of(request.param)


@pytest.fixture(scope="module", autouse=True)
def service() -> Iterator[None]:
    for name in (API, MON):
        of(name).run_test("systemd-run --quiet --unit=probed python3 -c %s", SERVER)
        wait_for(partial(listens, name), seconds=15, what="server")
    yield
    for name in (API, MON):
        of(name).run("systemctl stop probed")


def probe(host: Any, module: str, target: str) -> dict[str, float]:
    query = urlencode({"module": module, "target": target})
    text = get(host, f"http://127.0.0.1:9115/probe?{query}")
    pairs = re.findall(r"^(probe_\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in pairs}


@pytest.mark.parametrize(
    ("module", "target", "success"),
    [
        ("api_health", "http://127.0.0.1:8080/health", 1),
        ("api_health", "http://127.0.0.1:8080/broken", 0),
        ("api_health", "http://127.0.0.1:8080/moved", 0),
        ("api_health", "http://127.0.0.1:8081/health", 0),
        ("http_2xx", "http://127.0.0.1:8080/moved", 1),
        ("https_2xx", "http://127.0.0.1:8080/health", 0),
        ("tcp_connect", "127.0.0.1:8080", 1),
        ("tcp_tls", "127.0.0.1:8080", 0),
        ("teapot", "http://127.0.0.1:8080/tea", 1),
    ],
)
def test_probes(prober: Any, module: str, target: str, success: int) -> None:
    assert probe(prober, module, target)["probe_success"] == success


def test_a_name_is_resolved(prober: Any) -> None:
    assert probe(prober, "api_health", "http://localhost:8080/health")["probe_success"] == 1


def test_a_door_shows_its_certificates_end() -> None:
    door = f"{of(API).check_output('hostname -i').split()[0]}:9998"
    found = probe(of(MON), "door", door)
    assert found["probe_success"] == 1
    end = of(API).check_output("openssl x509 -enddate -noout -in /etc/koprogo/pki/host.crt")
    ends = int(of(API).check_output("date +%%s -d %s", end.split("=")[1]))
    assert found["probe_ssl_earliest_cert_expiry"] == ends
    # The internal authority is none that the public knows.
    assert probe(of(MON), "tcp_tls", door)["probe_success"] == 0


def test_the_door_passes_on_own_modules_to_whom_was_named() -> None:
    for asks, answers in ((API, MON), (MON, API)):
        box, address = Box(asks), Box(answers).address
        assert box.ask("scrape", address, path="/proxy?module=probed")["outcome"] == "418"
        # The inventory's modules were replaced.
        assert box.ask("scrape", address, path="/proxy?module=node_exporter")["outcome"] == "404"


def test_the_authoritys_key_opens_with_its_passphrase_only() -> None:
    folder = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    (key,) = folder.glob("**/.pki/ca-1.key")
    pem = key.read_bytes()
    load_pem_private_key(pem, b"only-for-the-Lab")
    with pytest.raises(TypeError, match="encrypted"):
        load_pem_private_key(pem, None)


def test_loopback_only_and_hardened(prober: Any) -> None:
    ours = {w for w, p in sockets(prober).items() if p.startswith("prometheus-blac")}
    assert ours == {"127.0.0.1:9115"}
    text = prober.check_output(f"systemd-analyze security {UNIT} --no-pager")
    assert float(text.split("service: ")[1].split()[0]) <= 2.0


def test_its_own_metrics_tell_when_it_started(prober: Any) -> None:
    assert "\nprocess_start_time_seconds " in get(prober, "http://127.0.0.1:9115/metrics")


def converge(option: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    argv = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], str(CONVERGE)]
    argv += ["-e", json.dumps(option)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def test_a_wrong_module_changes_nothing() -> None:
    run = converge({"blackbox_exporter_modules": {"x": {"prober": "http", "nonsense": 1}}})
    assert run.returncode != 0
    assert "field nonsense not found" in " ".join(run.stdout.split())
    assert probe(of(API), "teapot", "http://127.0.0.1:8080/tea")["probe_success"] == 1


def test_absent_leaves_nothing_of_ours() -> None:
    run = converge({"blackbox_exporter_state": "absent"})
    assert run.returncode == 0, run.stdout[-3000:]
    for name in (API, MON):
        assert not of(name).file("/etc/koprogo/blackbox_exporter").exists
        assert not of(name).package(UNIT).is_installed
        assert not of(name).socket("tcp://127.0.0.1:9115").is_listening
