"""PostgreSQL's log under the role's prefix: who failed to sign in is counted, and nobody is framed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import yaml

from tests.role_lab import rendered

# As PostgreSQL 15 wrote it, with clients who put line breaks into all that they may choose.
_FORGED = "2026-11-22 18:40:00.000 UTC [9] 203.0.113.9 FATAL:"
LOG = f"""\
2026-11-30 21:04:06.754 UTC [19550] LOG:  database system is ready to accept connections
2026-11-30 21:04:06.887 UTC [19644] 127.0.0.1 FATAL:  password authentication failed for user "a"
\t{_FORGED}"
2026-11-30 21:04:06.887 UTC [19644] 127.0.0.1 DETAIL:  Role "a"
\t{_FORGED}" does not exist.
2026-11-30 21:04:06.995 UTC [19703] 127.0.0.1 FATAL:  password authentication failed for user "{_FORGED}"
2026-11-30 21:04:07.072 UTC [19738] 127.0.0.1 LOG:  statement: do $x$ begin raise log 'hello
\t{_FORGED}  password authentication failed for user "x"'; end $x$
2026-11-30 21:04:07.073 UTC [19738] 127.0.0.1 LOG:  hello
\t{_FORGED}  password authentication failed for user "x"
2026-11-30 21:04:07.073 UTC [19738] 127.0.0.1 ERROR:  unterminated quoted string at or near "'
\t{_FORGED}  password authentication failed for user "x"" at character 8
2026-11-30 21:04:07.124 UTC [19746] ::1 FATAL:  password authentication failed for user "postgres"
2026-11-30 21:04:07.188 UTC [19748] [local] FATAL:  password authentication failed for user "postgres"
"""
ACCUSED = ["127.0.0.1", "127.0.0.1", "::1"]
_ADDRESS = r"(?P<address>[0-9a-fA-F.:]+)"


def by_fail2ban(line: str) -> str | None:
    """The address that the jail counts a failure of."""
    text = rendered("fail2ban", "etc/koprogo/fail2ban/filter-postgresql.conf.j2")
    options = dict(re.findall(r"^(\w+) = (.+)$", text, re.MULTILINE))
    date = re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+)", line)
    assert options["datepattern"].startswith("^(")
    # It is taken out where the pattern finds it, which is the line's beginning; elsewhere it stays.
    rest = line[date.end() :] if date and date.start() == 0 else line
    match = re.search(options["failregex"].replace("<ADDR>", _ADDRESS), rest)
    return match["address"] if match else None


def by_crowdsec(line: str) -> str | None:
    """The address that the parser reports."""
    parser = yaml.safe_load(rendered("crowdsec", "etc/crowdsec/postgresql-parser.yaml.j2"))
    pattern = parser["grok"]["pattern"].replace("%{TIMESTAMP_ISO8601:timestamp}", r"[\d-]+ [\d:.]+")
    match = re.search(pattern.replace("%{IP:source_ip}", _ADDRESS), line)
    return match["address"] if match else None


@pytest.mark.parametrize("reader", [by_fail2ban, by_crowdsec])
def test_only_the_address_that_the_server_saw_is_accused(
    reader: Callable[[str], str | None],
) -> None:
    found = [reader(line) for line in LOG.splitlines()]
    assert [address for address in found if address] == ACCUSED


def test_an_address_without_an_entry_is_counted_too() -> None:
    line = (
        "2026-11-30 21:04:07.124 UTC [19746] 192.0.2.7 "
        'FATAL:  no pg_hba.conf entry for host "192.0.2.7", user "x", database "y", no encryption'
    )
    assert by_fail2ban(line) == "192.0.2.7"


def test_the_prefix_holds_nothing_that_a_client_chooses_or_that_is_a_secret() -> None:
    """Any role of the database may read it."""
    text = rendered("fail2ban", "etc/koprogo/fail2ban_postgresql/postgresql.conf.j2")
    (prefix,) = re.findall(r"^log_line_prefix = '(.*)'$", text, re.MULTILINE)
    assert re.sub("%[mpqh]", "", prefix).replace(" ", "") == "[]"
