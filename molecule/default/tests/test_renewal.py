"""Certificates are renewed while a host writes its log: no line is lost, none comes twice. Nobody makes a
second authority by accident.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
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


def test_a_control_node_without_the_authority_changes_nothing(tmp_path: Path) -> None:
    """A colleague's fresh checkout: its run would cut this host off from all others."""
    files = "find /etc/koprogo -printf '%p %T@\\n' | sort; cat /etc/koprogo/pki/ca.crt"
    before = MON.sh(files)
    variables = json.dumps({"pki_directory": str(tmp_path)})
    outcome = run_playbook("playbooks/site.yml", "--limit", MON.name, "--extra-vars", variables)
    assert outcome.rc != 0
    assert "pki_directory: expected the authority '1' that this host trusts" in outcome.text
    assert list(tmp_path.iterdir()) == []
    assert MON.sh(files) == before
