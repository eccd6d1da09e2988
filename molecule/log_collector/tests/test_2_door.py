"""Other hosts' lines come in by the door, and nobody else does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from tests.integration.ask import wait_for
from tests.integration.boxes import Box, make_authority
from tests.integration.play import run_playbook

testinfra_hosts = ["ansible://monitoring"]

Find = Callable[..., list[str]]
Write = Callable[..., None]

PKI = {
    "ca": "/etc/koprogo/pki/ca.crt",
    "cert": "/etc/koprogo/pki/host.crt",
    "key": "/var/lib/koprogo/pki/host.key",
}


def knock(box: Box, address: str, **options: object) -> str:
    """How a request at the door ends; the door knows no such page, which is an answer too."""
    return str(box.ask("scrape", address, port=4318, path="/", **options)["outcome"])


def test_with_a_certificate_only(app: Box, mon: Box) -> None:
    assert knock(app, mon.address, **PKI) == "404"
    other = make_authority(app, "/run/other", "logs-app1")
    for options in ({"ca": PKI["ca"], "cert": ""}, {"ca": PKI["ca"], **other}):
        outcome = knock(app, mon.address, **options)
        assert not outcome.isdigit(), outcome


def test_loki_itself_is_reached_from_its_own_host_only(app: Box, mon: Box) -> None:
    for port in (3100, 9096, 8888):
        assert app.ask("knock", mon.address, port=port)["outcome"] == "refused"


def test_a_renewed_certificate_is_served_without_a_restart(
    app: Box, mon: Box, find: Find, marker: str, write: Write
) -> None:
    def serial() -> str:
        return str(app.ask("scrape", mon.address, port=4318, path="/", **PKI)["serial"])

    units = {box: box.sh("systemctl show -P InvocationID log-collector") for box in (app, mon)}
    before = serial()
    outcome = run_playbook(
        "molecule/log_collector/certificates.yml",
        "--extra-vars",
        json.dumps({"pki_renew_before_days": 400, "pki_certificate_days": 200}),
    )
    assert outcome.rc == 0, outcome.text
    wait_for(lambda: serial() not in ("", before), seconds=90, what="the new certificate")
    for box, invocation in units.items():
        assert box.sh("systemctl show -P InvocationID log-collector") == invocation
    # A new connection, with the new certificates on both sides.
    mon.sh("systemctl restart log-collector")
    time.sleep(1)
    write(app, 10, marker=marker)
    assert len(find(f'{{host="logs-app1"}} |= "{marker}"', expected=10, seconds=60)) == 10
