# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the section about the protection says."""

from __future__ import annotations

from lab.bench_protection import section

FOUND = {
    "Debian 12": {
        "bans": {
            "intrusion": [
                {"event": 0.1, "ban": 0.5, "drop": 1.0},
                {"event": 0.3, "ban": 0.7, "drop": 2.0},
                {"event": 0.2, "ban": 2.5, "drop": 9.0},
            ],
            "flood": [{"ban": 1.0, "drop": 1.5}],
        },
        "memory": {"suricata": 60.4},
        "burst": {
            "requests": {"sent": 90, "seen": 1000, "lost": 10, "seconds": 20},
            "datagrams": {"sent": 0, "seen": 0, "lost": 0, "seconds": 20},
        },
        "load": {"fail2ban": 0.234},
    }
}


def test_the_tables() -> None:
    text = section(FOUND, tries=3)
    assert "Each attack 3 times" in text
    for row in (
        "| Debian 12 | SQL injection | line in eve.json | 0.20 s | 0.30 s |",
        "| Debian 12 | SQL injection | first dropped packet | 2.00 s | 9.00 s |",
        "| Debian 12 | flood of API requests | ban of fail2ban | 1.00 s | 1.00 s |",
        "| Debian 12 | suricata | 60 |",
        "| Debian 12 | requests and answers over TCP | 50 | 10 | 1.0 % |",
        "| Debian 12 | datagrams | 0 | 0 | 0.0 % |",
        "| Debian 12 | fail2ban | 23 % |",
    ):
        assert row in text, row
