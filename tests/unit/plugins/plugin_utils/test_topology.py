"""The topology is a pure function of the inventory: inventories in, targets and packages out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils import _topology as topology

FLEET: dict[str, list[str]] = {
    "all": ["mon1", "api1", "db1"],
    "monitoring": ["mon1"],
    "api": ["api1"],
    "database": ["db1"],
}
SINGLE = {"all": ["box"], "monitoring": ["box"], "api": ["box"], "database": ["box"]}


def hostvars(groups: dict[str, list[str]], **by_host: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        host: {
            "ansible_host": f"198.51.100.{n}",
            "koprogo_deployment": "test",
            **by_host.get(host, {}),
        }
        for n, host in enumerate(groups["all"], start=1)
    }


def configs(groups: dict[str, list[str]], job: str, **by_host: Any) -> list[dict[str, Any]]:
    jobs = topology.scrape_jobs(groups["monitoring"][0], groups, hostvars(groups, **by_host))
    return [c for j in jobs if j["job_name"] == job for c in j["static_configs"]]


def test_single_host_needs_no_door() -> None:
    assert not topology.has_doors(SINGLE)
    jobs = topology.scrape_jobs("box", SINGLE, hostvars(SINGLE))
    targets = [t for j in jobs for c in j["static_configs"] for t in c["targets"]]
    assert targets
    assert all(t.startswith("127.0.0.1:") for t in targets)
    assert "metrics-gateway" not in {j["job_name"] for j in jobs}


def test_own_endpoint_is_scraped_on_loopback_and_others_through_their_gateway() -> None:
    by_host = {c["labels"]["instance"]: c for c in configs(FLEET, "node")}
    assert by_host["mon1"]["targets"] == ["127.0.0.1:9100"]
    assert by_host["db1"]["targets"] == ["198.51.100.3:9998"]
    labels = by_host["db1"]["labels"]
    assert labels["__scheme__"] == "https"
    assert labels["__metrics_path__"] == "/proxy"
    assert labels["__param_module"] == "node_exporter"
    assert labels["host"] == "db1"
    assert labels["deployment"] == "test"


def test_every_gateway_target_is_a_module_of_that_gateway() -> None:
    variables = hostvars(FLEET)
    for job in topology.scrape_jobs("mon1", FLEET, variables):
        for config in job["static_configs"]:
            module = config["labels"].get("__param_module")
            if config["labels"].get("__metrics_path__") == "/proxy":
                host = config["labels"]["instance"]
                assert module in topology.gateway_modules(host, FLEET, variables)


@pytest.mark.parametrize(
    ("job", "hosts"),
    [
        ("koprogo-api", {"api1"}),
        ("koprogo-api-health", {"api1"}),
        ("postgresql", {"db1"}),
        ("koprogo-business", {"db1"}),
        ("node", {"mon1", "api1", "db1"}),
        ("log-collector", {"mon1", "api1", "db1"}),
        ("metrics-gateway", {"mon1", "api1", "db1"}),
        ("prometheus", {"mon1"}),
        ("alertmanager", {"mon1"}),
        ("loki", {"mon1"}),
        ("grafana", {"mon1"}),
    ],
)
def test_each_job_has_the_hosts_of_its_group(job: str, hosts: set[str]) -> None:
    expected = topology.expected_targets(FLEET, hostvars(FLEET))
    assert {t["instance"] for t in expected if t["job"] == job} == hosts


def test_a_host_that_leaves_a_group_leaves_the_targets() -> None:
    smaller = {**FLEET, "database": []}
    assert not configs(smaller, "postgresql")
    assert {c["labels"]["instance"] for c in configs(smaller, "node")} == {"mon1", "api1", "db1"}


@pytest.mark.parametrize("variables", [{"koprogo_omit": ["grafana"]}, {"grafana_state": "absent"}])
def test_a_component_left_out_has_no_target(variables: dict[str, Any]) -> None:
    assert not configs(FLEET, "grafana", mon1=variables)


def test_a_port_variable_moves_target_and_gateway_module() -> None:
    moved = {"node_exporter_port": 9101}
    assert configs(FLEET, "node", mon1=moved)[0]["targets"] == ["127.0.0.1:9101"]
    modules = topology.gateway_modules("db1", FLEET, hostvars(FLEET, db1=moved))
    assert modules["node_exporter"]["port"] == 9101


def test_packages_of_a_host_are_those_of_its_components() -> None:
    packages = topology.packages_of("db1", FLEET, hostvars(FLEET))
    assert "prometheus-node-exporter" in packages
    assert "prometheus" not in packages
    assert len(packages) == len(set(packages))


def test_what_a_role_needs_beside_its_program_comes_with_the_common_transaction() -> None:
    assert "rsyslog" in topology.packages_of("db1", FLEET, hostvars(FLEET))
    assert "nftables" in topology.packages_of("db1", FLEET, hostvars(FLEET))
    assert "nftables" not in topology.packages_of("box", SINGLE, hostvars(SINGLE))


@pytest.mark.parametrize(
    "variables",
    [
        {"node_exporter_install": "archive"},
        {"node_exporter_install": "none"},
        {"node_exporter_state": "absent"},
        {"node_exporter_version": "1.5.0"},
    ],
)
def test_packages_leave_out_what_the_role_must_do_itself(variables: dict[str, Any]) -> None:
    packages = topology.packages_of("db1", FLEET, hostvars(FLEET, db1=variables))
    assert "prometheus-node-exporter" not in packages
    asked = topology.packages_of("db1", FLEET, hostvars(FLEET, db1=variables), pinned=True)
    version = variables.get("node_exporter_version")
    assert [one for one in asked if one.startswith("prometheus-node-exporter")] == (
        [f"prometheus-node-exporter={version}"] if version else []
    )


def test_an_inventory_without_monitoring_is_refused() -> None:
    groups = {**FLEET, "monitoring": []}
    errors = topology.inventory_errors(groups, hostvars(groups))
    assert errors == ["inventory group 'monitoring': expected at least one host, found none"]
    assert topology.inventory_errors(FLEET, hostvars(FLEET)) == []


def test_two_components_on_one_port_are_refused() -> None:
    errors = topology.inventory_errors(SINGLE, hostvars(SINGLE, box={"prometheus_port": 9093}))
    assert len(errors) == 1
    assert "prometheus_port" in errors[0]
    assert "alertmanager_port" in errors[0]
    assert "9093" in errors[0]


def test_each_doors_certificate_is_probed_from_the_monitoring_host() -> None:
    doors = configs(FLEET, "probe-doors")
    assert {c["labels"]["target"] for c in doors} == {
        "198.51.100.1:9998",
        "198.51.100.2:9998",
        "198.51.100.3:9998",
    }
    assert all(c["targets"] == ["127.0.0.1:9115"] for c in doors)
    assert not configs(SINGLE, "probe-doors")


def test_what_two_monitoring_hosts_probe_has_the_same_labels() -> None:
    groups = {**FLEET, "monitoring": ["mon1", "api1"]}
    own = {"blackbox_exporter_targets": [{"target": "https://app.example.org"}]}
    # It knows its own name by a loopback address, and asks itself elsewhere.
    variables = hostvars(groups, mon1=own, api1={**own, "koprogo_address": "api1.example.org"})

    def probed(asker: str) -> list[dict[str, str]]:
        return [
            {key: value for key, value in config["labels"].items() if not key.startswith("__")}
            for job in topology.scrape_jobs(asker, groups, variables)
            if job["job_name"] in ("probe", "probe-doors")
            for config in job["static_configs"]
        ]

    assert probed("mon1") == probed("api1")
    assert {one["target"] for one in probed("mon1")} >= {"https://app.example.org"}


def test_the_users_own_targets_are_probed() -> None:
    variables = {
        "blackbox_exporter_targets": [
            {"target": "https://app.example.org", "labels": {"team": "web"}}
        ]
    }
    (probe,) = configs(FLEET, "probe", mon1=variables)
    assert probe["labels"]["__param_target"] == "https://app.example.org"
    assert probe["labels"]["__param_module"] == "https_2xx"
    assert probe["labels"]["team"] == "web"


def test_an_ipv6_address_is_bracketed() -> None:
    moved = configs(FLEET, "node", db1={"koprogo_address": "2001:db8::3"})
    assert {t for c in moved for t in c["targets"]} >= {"[2001:db8::3]:9998"}


def test_a_port_that_is_no_number_is_left_to_the_options_check() -> None:
    variables = hostvars(SINGLE, box={"prometheus_port": "web"})
    assert topology.inventory_errors(SINGLE, variables) == []
    assert "prometheus_port" not in {p.option for p in topology.ports_of("box", SINGLE, variables)}


def test_every_port_that_is_listened_on_is_known() -> None:
    twins = {"all": ["mon1", "mon2"], "monitoring": ["mon1", "mon2"]}
    variables = hostvars(twins, mon1={"koprogo_protect": True})
    found = {p.option: (p.number, p.door) for p in topology.ports_of("mon1", twins, variables)}
    assert {name for name, (_number, door) in found.items() if door} == {
        "metrics_gateway_port",
        "alertmanager_cluster_port",
        "log_collector_door_port",
    }
    assert found["loki_grpc_port"] == (9096, False)
    assert found["crowdsec_bouncer_port"] == (60601, False)
    single = {p.option for p in topology.ports_of("box", SINGLE, hostvars(SINGLE))}
    assert not {"log_collector_door_port", "alertmanager_cluster_port"} & single


def test_a_door_on_anothers_port_is_refused() -> None:
    errors = topology.inventory_errors(
        FLEET, hostvars(FLEET, mon1={"log_collector_door_port": 9998})
    )
    assert errors == [
        "host 'mon1': metrics_gateway_port and log_collector_door_port are both 9998; "
        "expected a port of its own for each"
    ]


@pytest.mark.parametrize(
    ("protect", "expected"),
    [(None, set()), (False, set()), ("no", set()), (True, {"fail2ban", "crowdsec"})],
)
def test_what_bans_runs_only_where_it_is_asked(protect: Any, expected: set[str]) -> None:
    asked = {} if protect is None else {"koprogo_protect": protect}
    variables = hostvars(FLEET, api1=asked)
    names = {c.name for c in topology.components_of("api1", FLEET, variables)}
    assert names & {"fail2ban", "crowdsec", "suricata"} == expected
    modules = topology.gateway_modules("api1", FLEET, variables)
    assert ("crowdsec_bouncer" in modules) == bool(expected)


def test_the_sensor_runs_in_its_group() -> None:
    groups = {**FLEET, "sensors": ["db1"]}
    variables = hostvars(groups, db1={"koprogo_protect": True, "koprogo_omit": ["crowdsec"]})
    names = {c.name for c in topology.components_of("db1", groups, variables)}
    assert {"suricata", "fail2ban"} <= names
    assert "crowdsec" not in names
    assert "suricata" not in topology.packages_of("db1", groups, variables)
    assert "fail2ban" in topology.packages_of("db1", groups, variables)


def test_leaving_out_what_does_not_exist_is_an_error_once_for_all_hosts_that_share_it() -> None:
    mistyped: dict[str, dict[str, Any]] = {
        host: {"koprogo_omit": ["grafana", "graphana"]} for host in ("mon1", "db1")
    }
    (error,) = topology.inventory_errors(FLEET, hostvars(FLEET, **mistyped))
    assert error.startswith("koprogo_omit of mon1, db1: expected some of alertmanager, ")
    assert error.endswith("found 'graphana'")


@pytest.mark.parametrize("given", ["loki", 5, True, {"loki": None}])
def test_leaving_out_takes_a_list(given: object) -> None:
    # A text would be searched for each name: 'loki' is in 'loki_old' too.
    (error,) = topology.inventory_errors(SINGLE, hostvars(SINGLE, box={"koprogo_omit": given}))
    assert error == f"koprogo_omit of box: expected a list of components, found {given!r}"


def test_leaving_out_takes_names() -> None:
    variables = hostvars(SINGLE, box={"koprogo_omit": [{"loki": None}]})
    (error,) = topology.inventory_errors(SINGLE, variables)
    assert error.endswith("found {'loki': None}")
