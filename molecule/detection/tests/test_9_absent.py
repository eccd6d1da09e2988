"""The roles take away what they brought, and nothing else. The last test: the hosts are bare afterwards."""

from __future__ import annotations

import json

from tests.integration.play import ROOT, run_playbook
from tests.integration.victim import Victim

STATES = {f"{role}_state": "absent" for role in ("fail2ban", "suricata", "crowdsec")}


def test_absent_removes_ours_only() -> None:
    boxes = [Victim(name) for name in ("detect-box12", "detect-box13")]
    for box in boxes:
        box.sh("fail2ban-client set sshd banip 198.51.100.69")
        box.sh("echo '[sshd]' > /etc/fail2ban/jail.d/by-hand.local")
        box.sh("nft add table inet by_hand")
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
            "find /etc/fail2ban /etc/suricata /etc/systemd /etc/postgresql -name '*koprogo*'"
        )
        assert left.strip() == ""
        assert box.sh("ls /etc/fail2ban/jail.d/by-hand.local").strip()
        tables = box.sh("nft list tables")
        assert "by_hand" in tables
        assert "koprogo_fail2ban" not in tables
        assert box.reaches("198.51.100.69")
        prefix = box.sh("runuser -u postgres -- psql -Atc 'show log_line_prefix'")
        assert "%h" not in prefix
