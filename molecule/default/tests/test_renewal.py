"""Certificates are renewed while a host writes its log: no line is lost, none comes twice."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from tests.integration.ask import wait_for_each_once
from tests.integration.boxes import Box
from tests.integration.play import run_playbook

testinfra_hosts = ["ansible://monitoring"]

MON, API = Box("stack-mon1"), Box("stack-api1")
SERIAL = "openssl x509 -in /etc/koprogo/pki/host.crt -noout -serial"


def test_a_renewal_loses_and_doubles_no_line(host: Any) -> None:
    marker = uuid.uuid4().hex
    before = {box: box.sh(SERIAL) for box in (MON, API)}
    # More than any certificate has left.
    variables = json.dumps({"pki_renew_before_days": 400, "pki_certificate_days": 200})
    with API.writing("/var/log/koprogo/api.log", marker) as written:
        time.sleep(2)
        outcome = run_playbook("molecule/doors/certificates.yml", "--extra-vars", variables)
        assert outcome.rc == 0, outcome.text
        assert all(box.sh(SERIAL) != serial for box, serial in before.items())
        # The connection is kept; a new one has the new certificates on both sides.
        MON.sh("systemctl restart log-collector")
        time.sleep(5)
    wait_for_each_once(host, marker, written)
