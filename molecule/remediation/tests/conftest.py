"""Each test finds its hosts well, and has the ledger to itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.remedy import BOXES, LEDGER, host_of


@pytest.fixture(autouse=True)
def fresh_ledger() -> Iterator[None]:
    """Each test has its cool-down to itself."""
    for box in BOXES:
        host_of(box).check_output(
            f"rm -rf {LEDGER}* /run/koprogo-remediation /dev/shm/koprogo-remediation"
        )
    yield
    for box in BOXES:
        host = host_of(box)
        host.check_output("koprogo-api faults clear")
        host.check_output(
            "systemctl reset-failed; systemctl start postgresql@$(ls /etc/postgresql)-main"
        )
        host.check_output("systemctl start koprogo-api")


@pytest.fixture(scope="module", autouse=True)
def clerks() -> None:
    """An ordinary user of the database signs in through the socket."""
    for box in BOXES:
        host = host_of(box)
        host.check_output(
            "f=$(ls -d /etc/postgresql/*/main)/pg_hba.conf; "
            "grep -q clerk $f || sed -i '1i local all clerk trust' $f; systemctl reload postgresql"
        )
        host.run("runuser -u postgres -- psql -qc 'CREATE ROLE clerk LOGIN'")
