"""The hosts' own engines judge a capture of every attack and of ordinary traffic."""

from __future__ import annotations

import subprocess

from tests.integration.judgement import assert_just, evidence
from tests.integration.victim import Victim, on_each_victim

# The engine's own configuration; its command socket belongs to the one that runs.
JUDGE = """
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/case.pcap"
suricata -c /etc/koprogo/suricata/suricata.yaml --set unix-command.enabled=no -k none -l "$folder" \
    -r "$folder/case.pcap" >&2
cat "$folder/eve.json"
"""


@on_each_victim
def test_each_rule_sees_its_attacks_and_nothing_else(box: Victim) -> None:
    command = ["docker", "exec", "-i", box.name, "sh", "-c", JUDGE]
    done = subprocess.run(command, input=evidence(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert_just(done.stdout.decode(), rules=box.sh("cat /etc/koprogo/suricata/rules/*.rules"))
