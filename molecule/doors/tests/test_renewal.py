"""Certificates are renewed and the authority exchanged without a lost scrape."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ask import promql, wait_for
from tests.integration.boxes import Box, make_authority
from tests.integration.play import Outcome, run_playbook

testinfra_hosts = ["ansible://monitoring"]

CERTIFICATES = "molecule/doors/certificates.yml"
NOTHING = {"doors-mon1": 0, "doors-db1": 0}
# More than any certificate has left.
EARLY = {"pki_renew_before_days": 400, "pki_certificate_days": 200}
HOST_CERTIFICATE = "/etc/koprogo/pki/host.crt"


def run(*arguments: str, **variables: Any) -> Outcome:
    """The renewing playbook with these variables; it must succeed."""
    outcome = run_playbook(CERTIFICATES, *arguments, "--extra-vars", json.dumps(variables))
    assert outcome.rc == 0, outcome.text
    return outcome


def field(box: Box, option: str, path: str = HOST_CERTIFICATE) -> str:
    return box.sh(f"openssl x509 -in {path} -noout {option}").strip().partition("=")[2]


def key_of(box: Box) -> str:
    return box.sh(f"openssl x509 -in {HOST_CERTIFICATE} -noout -pubkey")


def assert_nothing_lost(result: dict[str, Any]) -> None:
    print(f"scrapes every 0.2 s: {result['outcomes']}, slowest {result['slowest']} s")  # noqa: T201
    assert set(result["outcomes"]) == {"200"}, result
    # The gateway's restart holds new connections back; a scrape's time-out is 10 s.
    assert result["slowest"] < 8, result


def test_a_second_run_and_a_dry_run_change_nothing() -> None:
    assert run().changed == NOTHING
    assert run("--check", "--diff").changed == NOTHING


def test_a_dry_run_tells_which_files_the_run_replaces(db: Box) -> None:
    """One more trusted authority replaces no certificate; an early renewal does."""
    before = db.sh("sha256sum /etc/koprogo/pki/*")
    trust = {"pki_trusted_authorities": ["1", "2"]}
    for variables, expected in ((trust, ["ca.crt"]), (EARLY, ["host.crt"])):
        text = run("--check", "--diff", **variables).text
        found = set(re.findall(r"\+\+\+ after: /etc/koprogo/pki/(\S+)", text))
        assert found == {*expected, "expiry.prom"}, text
    assert db.sh("sha256sum /etc/koprogo/pki/*") == before
    assert run().changed == NOTHING, "the authority's own files are as they were"


def test_the_end_of_each_certificate_is_a_metric(mon: Box, db: Box, host: Any) -> None:
    body = mon.ask("scrape", db.address, path="/proxy?module=node_exporter")["body"]
    samples = {
        line.split('certificate="')[1].split('"')[0]: float(line.split()[-1])
        for line in body.splitlines()
        if line.startswith("koprogo_certificate_not_after_seconds{")
    }
    for kind, path in (("host", HOST_CERTIFICATE), ("authority", "/etc/koprogo/pki/ca.crt")):
        end = time.strptime(field(db, "-enddate", path), "%b %d %H:%M:%S %Y GMT")
        assert samples[kind] == time.mktime(end) - time.timezone
    found = wait_for(
        lambda: promql(host, "count by (instance) (koprogo_certificate_not_after_seconds)"),
        seconds=60,
        what="the metric in Prometheus",
    )
    assert {f["metric"]["instance"] for f in found} == {"doors-mon1", "doors-db1"}


def test_renewal_is_served_at_once_and_loses_no_scrape(mon: Box, db: Box, host: Any) -> None:
    before, key = field(db, "-serial"), key_of(db)
    began = time.time()
    with mon.scraping(db.address) as result:
        time.sleep(2)
        text = run(**EARLY).text
        time.sleep(1)
    after = field(db, "-serial")
    assert after != before
    assert "Sign the host's certificate" in text
    assert key_of(db) == key, "the key stays"
    assert result["serials"] == sorted([before, after]), "the new one is served"
    assert mon.ask("scrape", db.address)["serial"] == after
    assert_nothing_lost(result)

    # The real Prometheus, with its own certificate renewed in the same run.
    window = int(time.time() - began) + 10
    lowest = promql(host, f'min_over_time(up{{job=~"node|metrics-gateway"}}[{window}s])')
    assert len(lowest) == 4
    assert {sample["value"][1] for sample in lowest} == {"1"}


def test_the_authority_is_exchanged_in_three_runs_without_a_lost_scrape(mon: Box, db: Box) -> None:
    steps: list[dict[str, Any]] = [
        {"pki_trusted_authorities": ["1", "2"]},
        {"pki_trusted_authorities": ["1", "2"], "pki_authority": "2"},
        {"pki_trusted_authorities": ["2"], "pki_authority": "2"},
    ]
    run()
    issuers = []
    with mon.scraping(db.address) as result:
        for step in steps:
            run(**step)
            issuers.append(field(db, "-issuer").replace(" ", ""))
    assert [issuer[-1] for issuer in issuers] == ["1", "2", "2"]
    assert db.sh("grep -c BEGIN /etc/koprogo/pki/ca.crt").strip() == "1"
    assert_nothing_lost(result)
    assert run(**steps[-1]).changed == NOTHING


def test_a_certificate_that_does_not_fit_is_refused_and_the_old_one_stays(
    mon: Box, db: Box, tmp_path: Path
) -> None:
    before = field(db, "-serial")
    make_authority(mon, "/run/own", "doors-db1")
    own = {name: mon.sh(f"cat /run/own/{name}") for name in ("ca.crt", "host.crt")}
    variables = {"pki_ca_certificate": own["ca.crt"], "pki_certificate": own["host.crt"]}
    settings = tmp_path / "own.json"
    settings.write_text(json.dumps(variables), encoding="utf-8")
    outcome = run_playbook(CERTIFICATES, "--extra-vars", f"@{settings}")
    assert outcome.rc != 0
    # It has no name at all, and is for another key.
    assert "mismatch" in outcome.text
    assert field(db, "-serial") == before
    assert mon.ask("scrape", db.address)["outcome"] == "200"


@pytest.fixture
def own_certificates(mon: Box, db: Box, tmp_path: Path) -> Path:
    """Certificates and keys of the user's own for both hosts, as variables by host."""
    folder = "/run/users-own"
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    mon.sh(
        f"mkdir -p {folder} && cd {folder} && "
        f"openssl req -x509 {curve} -keyout ca.key -out ca.crt -subj /CN=users-own -days 90"
    )
    by_host = {}
    for box in (mon, db):
        mon.sh(
            f"cd {folder} && openssl req {curve} -keyout {box.name}.key -out csr -subj /CN={box.name} && "
            f"echo 'subjectAltName=DNS:{box.name},IP:{box.address}' > extensions && "
            "openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -extfile extensions -days 90 "
            f"-out {box.name}.crt"
        )
        by_host[box.name] = {
            name: mon.sh(f"cat {folder}/{box.name}.{name}") for name in ("crt", "key")
        }
    settings = tmp_path / "own.json"
    variables = {
        "by_host": by_host,
        "pki_ca_certificate": mon.sh(f"cat {folder}/ca.crt"),
        "pki_certificate": "{{ by_host[inventory_hostname].crt }}",
        "pki_private_key": "{{ by_host[inventory_hostname].key }}",
    }
    settings.write_text(json.dumps(variables), encoding="utf-8")
    return settings


def test_certificates_of_the_users_own(mon: Box, db: Box, own_certificates: Path) -> None:
    arguments = ("--diff", "--extra-vars", f"@{own_certificates}")
    foretold = run_playbook(CERTIFICATES, "--check", *arguments)
    outcome = run_playbook(CERTIFICATES, *arguments)
    assert outcome.rc == 0, outcome.text
    assert (foretold.rc, foretold.changed) == (0, outcome.changed), foretold.text
    secret = json.loads(own_certificates.read_text(encoding="utf-8"))["by_host"]["doors-db1"]["key"]
    lines = [line for line in secret.splitlines() if not line.startswith("-")]
    assert all(line not in outcome.text for line in lines), "a key was shown"
    assert base64.b64decode("".join(lines))
    assert mon.ask("scrape", db.address)["outcome"] == "200"
    assert field(db, "-issuer").endswith("users-own")
    again = run_playbook(CERTIFICATES, "--extra-vars", f"@{own_certificates}")
    assert again.changed == NOTHING
