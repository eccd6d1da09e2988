"""The variables of all hosts, each asked for once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import remembered


class Counting(Mapping[str, Any]):
    """Says how often it was asked."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_ = values
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> Any:
        self.asked.append(key)
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def test_each_host_and_each_of_its_variables_is_asked_for_once() -> None:
    mon1 = Counting({"koprogo_omit": ["grafana"], "nothing": None})
    inventory = Counting({"mon1": mon1, "api1": {}})
    hostvars = remembered(inventory)
    for _again in range(3):
        assert hostvars["mon1"]["koprogo_omit"] == ["grafana"]
        assert hostvars["mon1"].get("nothing", "default") is None
        assert hostvars["api1"].get("koprogo_omit") is None
    assert mon1.asked == ["koprogo_omit", "nothing"]
    assert inventory.asked == ["mon1", "api1"]


def test_what_is_not_there_is_not_there() -> None:
    hostvars = remembered({"mon1": {"one": 1}})
    assert list(hostvars) == ["mon1"]
    assert len(hostvars) == 1
    assert "mon1" in hostvars
    assert "db1" not in hostvars
    assert dict(hostvars["mon1"]) == {"one": 1}
    with pytest.raises(KeyError, match="db1"):
        hostvars["db1"]
