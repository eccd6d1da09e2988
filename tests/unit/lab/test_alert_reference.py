"""The page of the alerts is up to date, and has all of them."""

from __future__ import annotations

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from lab.alert_reference import TARGET, reference


def test_the_page_is_what_the_catalogue_says() -> None:
    assert TARGET.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_every_alert_is_on_the_page_once() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| [")]
    assert sorted(row[3 : row.index("]")] for row in rows) == sorted(ALERTS)
