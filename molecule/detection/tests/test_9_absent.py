"""The roles take away what they brought, and nothing else. The last test: the hosts are bare afterwards."""

from __future__ import annotations

import json

from tests.integration.play import ROOT, run_playbook
from tests.integration.victim import every_victim

PROTECTION = ("fail2ban", "suricata", "crowdsec")
TELLING = ("metrics_gateway", "pki", "loki", "log_collector", "node_exporter", "prometheus")
ROLES = (*PROTECTION, *TELLING)
BY_HAND = "/etc/fail2ban/jail.d/by-hand.local"
# What CrowdSec's package wrote, and the role replaced.
SETTINGS = "/etc/crowdsec/config.yaml.local"
STATES = {f"{role}_state": "absent" for role in ROLES}


def test_absent_removes_ours_only() -> None:
    boxes = every_victim()
    for box in boxes:
        box.sh("fail2ban-client set sshd banip 198.51.100.69")
        # The role's own settings come after it: without them fail2ban can't run.
        box.sh(f"printf '[sshd]\\nbackend = auto\\nlogpath = /var/log/none.log\\n' > {BY_HAND}")
    boxes[0].sh("nft add table inet by_hand")
    playbook = str(ROOT / "molecule/detection/converge.yml")
    outcome = run_playbook(playbook, "-e", json.dumps(STATES))
    assert outcome.rc == 0, outcome.text
    again = run_playbook(playbook, "-e", json.dumps(STATES))
    assert again.text.count("changed=0") == 2, again.text
    for box in boxes:
        units = box.sh("systemctl list-units --all --plain --no-legend 'koprogo-*-watch*'")
        assert "active" not in units.replace("inactive", "")
        assert box.sh("ls -A /etc/koprogo").split() in ([], [".sets"])
        left = box.sh(
            "find /etc/fail2ban /etc/suricata /etc/crowdsec /etc/systemd /etc/postgresql -name '*koprogo*'; "
            "grep -rlE 'koprogo|8079' /etc/fail2ban /etc/suricata /etc/crowdsec",
            check=False,
        )
        assert left.strip() == ""
        assert box.sh(f"ls {BY_HAND}").strip()
        assert "%h" not in box.sh("runuser -u postgres -- psql -Atc 'show log_line_prefix'")
        assert box.reaches("198.51.100.69")
    # The one had nftables, fail2ban and CrowdSec before the roles came, the other had not.
    with_its_own, without = boxes
    assert with_its_own.sh("systemctl is-active fail2ban", check=False).strip() == "failed"
    with_its_own.sh(f"rm {BY_HAND}; systemctl restart fail2ban")
    state = with_its_own.sh(
        "systemctl is-enabled fail2ban crowdsec; systemctl is-active fail2ban crowdsec"
    )
    assert state.split() == ["enabled", "enabled", "active", "active"]
    assert "use_wal: true" in with_its_own.sh(f"cat {SETTINGS}")
    items = with_its_own.sh("ls /etc/crowdsec/scenarios").split()
    assert "pgsql-bf.yaml" in items
    assert "suricata-alerts.yaml" not in items
    assert without.sh("command -v fail2ban-server; command -v crowdsec", check=False) == ""
    assert "by_hand" in (tables := with_its_own.sh("nft list tables"))
    assert "koprogo_fail2ban" not in tables
    assert without.sh("command -v nft", check=False) == ""
