"""The dashboards' queries, asked of a scenario's stack."""

from __future__ import annotations

from collections.abc import Sequence

from lab.panel_check import Answer, Stack
from tests.integration.ask import Host, get_many

__all__ = ["stack_of"]


def stack_of(host: Host) -> Stack:
    """The Prometheus and the Loki of a monitoring host, as the checks of panels want them."""

    def fetch(urls: Sequence[str]) -> list[Answer]:
        return [Answer(status=status, body=body) for status, body in get_many(host, urls)]

    return Stack(prometheus="http://127.0.0.1:9090", loki="http://127.0.0.1:3100", fetch=fetch)
