"""The page of figures says what was measured."""

from __future__ import annotations

from lab.bench import Figures, fleet, page


def test_a_fleet_has_each_group_and_one_host_has_all() -> None:
    assert fleet(1) == {name: ["bench1-1"] for name in ("monitoring", "api", "database")}
    three = fleet(3)
    assert [len(members) for members in three.values()] == [1, 1, 1]
    assert len(fleet(10)["api"]) == 8


def test_the_page_shows_growth_per_host_and_the_median_ratio() -> None:
    def figures(hosts: int) -> Figures:
        return Figures(wall=60, cpu=10.5, results=60 * hosts, changed=0, hosts=hosts)

    text = page(
        {n: (figures(n), figures(n)) for n in (1, 3)},
        [(20, 10), (30, 10), (25, 10)],
        {"loki": 102400},
    )
    assert "| all components | 3 | 180 (60 a host) | 0 | 10.5 s | 60 s |" in text
    assert "Median ratio: 2.50." in text
    assert "| loki | 100 |" in text
