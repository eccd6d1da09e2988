"""CrowdSec's community is joined and left at any time, here with a central API on the host itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.ask import wait_for
from tests.integration.boxes import docker
from tests.integration.play import ROOT, run_playbook
from tests.integration.victim import ATTACKER, Victim, every_victim

# Both are on the community's list, and the second on our allow-list.
LISTED = "198.51.100.71"
COLLEAGUE = "198.51.100.200"
API = (ROOT / "molecule/detection/files/central_api.py").read_text(encoding="utf-8")
REGISTRATION = "/etc/crowdsec/online_api_credentials.yaml"
ASKED = "/run/central-api/asked"
CERTIFICATE = "/usr/local/share/ca-certificates/central-api.crt"
START = f"""
set -eu
cd /run/central-api
cp {REGISTRATION} registration
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \\
    -subj /CN=api.crowdsec.net -addext subjectAltName=DNS:api.crowdsec.net \\
    -keyout key -out {CERTIFICATE} 2> /dev/null
update-ca-certificates > /dev/null
echo 127.0.0.1 api.crowdsec.net >> /etc/hosts
: > {ASKED}
systemd-run -q --unit central-api --working-directory /run/central-api \\
    python3 program {CERTIFICATE} key {ASKED} {LISTED} {COLLEAGUE}
"""
STOP = f"""
systemctl stop central-api
# Docker's own mount: it can be written, and not replaced.
sed /api.crowdsec.net/d /etc/hosts > /run/central-api/hosts && cat /run/central-api/hosts > /etc/hosts
rm {CERTIFICATE}
update-ca-certificates --fresh > /dev/null
cat /run/central-api/registration > {REGISTRATION}
rm -r /run/central-api
"""


def configure(box: Victim, *arguments: str, community: bool) -> str:
    """Run the role's configuration on both hosts, with or without the community on one of them."""
    joined = f"{{{{ {community} and inventory_hostname == '{box.name}' }}}}"
    outcome = run_playbook(
        str(ROOT / "molecule/detection/protect.yml"),
        *("--tags", "crowdsec_configure", *arguments),
        *("-e", json.dumps({"crowdsec_community": joined})),
    )
    assert outcome.rc == 0, outcome.text
    return outcome.text


@pytest.fixture
def box() -> Iterator[Victim]:
    """A host that has its own central API, and is as before afterwards."""
    found = every_victim()[0]
    found.sh("mkdir -p /run/central-api")
    docker("exec", "-i", found.name, "sh", "-c", "cat > /run/central-api/program", stdin=API)
    found.sh(START)
    try:
        yield found
    finally:
        configure(found, community=False)
        found.sh(STOP)


def test_the_community_is_joined_and_left_at_any_time(box: Victim) -> None:
    def asked(question: str) -> int:
        return box.sh(f"cat {ASKED}").splitlines().count(question)

    def in_nftables() -> bool:
        text = box.sh("nft list table ip crowdsec")
        return LISTED in text and COLLEAGUE in text

    box.sh(f"cscli decisions add --ip {ATTACKER}")
    predicted = configure(box, "--check", community=True)
    joining = predicted.partition("Join the community]")[2].partition("TASK")[0]
    assert f"changed: [{box.name}]" in joining, predicted
    assert not asked("POST /v2/watchers")
    configure(box, community=True)
    wait_for(in_nftables, seconds=30, what="the community's list in nftables")
    assert not box.reaches(LISTED)
    assert box.reaches(COLLEAGUE)
    assert not box.reaches(ATTACKER)
    # Left, and joined again with the same registration.
    configure(box, community=False)
    registered = box.sh(f"cat {REGISTRATION}")
    assert "login: " in registered
    assert "no configuration for Central API" in box.sh("cscli capi status 2>&1", check=False)
    assert not box.reaches(ATTACKER)
    configure(box, community=True)
    assert box.sh(f"cat {REGISTRATION}") == registered
    assert asked("POST /v2/watchers") == 1
