"""What the lab finds on the machine: engine, Python, images, network, ports."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
import yaml

from lab import demo, engine, hosts, images, paths, shell, tunnel, venv
from lab.shell import LabError

_ROOT = Path(__file__).parents[3]


def test_the_cache_follows_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert paths.user_cache() == Path("/somewhere/koprogo-lab")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert paths.user_cache() == Path.home() / ".cache" / "koprogo-lab"


def test_a_digest_knows_where_a_part_ends() -> None:
    assert paths.digest("ab", "c") != paths.digest("a", "bc")
    assert paths.digest("ab") == paths.digest(b"ab")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("41\n", False), ("42", True), ("43", True), ("rubbish", True), ("", True)],
)
def test_stale_pid_files(tmp_path: Path, text: str, *, expected: bool) -> None:
    for number, program in ((41, "dockerd"), (42, "bash")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(f"{program}\n")
    assert engine.stale_pid(text, "dockerd", tmp_path) is expected


def test_the_engine_says_why_it_stopped() -> None:
    log = (
        'level=info msg="Starting up"\nfailed to start daemon: no iptables\nlevel=info msg="bye"\n'
    )
    assert engine.fatal_line(log) == "failed to start daemon: no iptables"
    assert engine.fatal_line("one\ntwo\n\n") == "two"
    assert engine.fatal_line("") == "it wrote nothing"


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    for name, text in (("broken", "#!/bin/sh\nexit 127\n"), ("old", "#!/bin/sh\necho 3.9\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    tried = [str(tmp_path / "missing"), str(tmp_path / "broken"), str(tmp_path / "old")]
    assert venv.find_python(tried) is None
    assert venv.find_python([*tried, sys.executable]) == sys.executable


def test_the_recipe_follows_releases_and_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twelve, thirteen = images.RELEASES
    assert images.recipe(twelve) != images.recipe(thirteen)
    (tmp_path / "a.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "notes.txt").write_text("BEGIN CERTIFICATE")
    (tmp_path / "b.crt").write_text("no certificate")
    assert images.extra_authorities([tmp_path, tmp_path / "missing"]) == [tmp_path / "a.crt"]
    before = images.recipe(twelve)
    authority = tmp_path / "a.crt"
    monkeypatch.setattr(images, "extra_authorities", lambda: [authority])
    authority.write_text("-----BEGIN CERTIFICATE-----\nanother\n")
    assert images.recipe(twelve) != before


def test_an_unreachable_server_is_no_error() -> None:
    assert not images.reachable("http://127.0.0.1:9/", timeout=1)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (["default", "172.17.0.0/16", "192.0.2.7"], None),
        (["10.0.0.0/8"], "10.0.0.0/8"),
        (["10.177.83.128/25"], "10.177.83.128/25"),
        (["0.0.0.0/0"], None),
    ],
)
def test_network_collisions(routes: list[str], expected: str | None) -> None:
    assert hosts.collision("10.177.83", routes) == expected


@pytest.mark.parametrize("value", ["10.177", "10.177.83.0/24", "10.177.300", "x", "8.8.8"])
def test_a_wrong_network_is_named(value: str) -> None:
    with pytest.raises(LabError, match="KOPROGO_DEMO_NETWORK"):
        hosts.network_prefix(value)


def test_the_inventory_and_the_lab_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KOPROGO_DEMO_NETWORK", raising=False)
    inventory = yaml.safe_load((_ROOT / "inventories" / "demo" / "hosts.yml").read_text())
    assert f"default('{hosts.network_prefix()}'" in inventory["all"]["vars"]["demo_network"]
    told = {
        name: settings["ansible_host"]
        for group in ("monitoring", "api", "database")
        for name, settings in inventory[group]["hosts"].items()
    }
    assert told == {host.name: f"{{{{ demo_network }}}}.{host.number}" for host in hosts.HOSTS}


def test_molecule_and_the_lab_name_the_same_images() -> None:
    named = yaml.safe_load((_ROOT / ".env.yml").read_text())
    assert named == {
        f"KOPROGO_IMAGE_{one.name.upper()}": images.image_of(one.name) for one in images.RELEASES
    }


def test_known_hosts() -> None:
    keys = [("10.0.0.1", "ssh-ed25519 AAAA root@mon1\n")]
    assert hosts.known_hosts(keys) == "10.0.0.1 ssh-ed25519 AAAA\n"
    with pytest.raises(ValueError, match="host key"):
        hosts.known_hosts([("10.0.0.1", "No such file")])


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "_is_open", lambda: False)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert tunnel.taken(port)
        monkeypatch.setattr(tunnel, "DOORS", (tunnel.Door("Prometheus", port),))
        monkeypatch.delenv("KOPROGO_DEMO_PORT_OFFSET", raising=False)
        with pytest.raises(
            LabError, match=f"Port {port} of 127.0.0.1, wanted for Prometheus, is taken"
        ):
            tunnel.check_ports()
    assert not tunnel.taken(port)


@pytest.mark.parametrize("offset", ["x", "-9000", "60000"])
def test_a_wrong_port_offset_is_named(offset: str) -> None:
    with pytest.raises(LabError, match="KOPROGO_DEMO_PORT_OFFSET"):
        tunnel.local_port(tunnel.Door("Prometheus", 9090), offset)


def test_where_grafana_comes_from(tmp_path: Path) -> None:
    package = tmp_path / "grafana.deb"
    package.touch()
    variables, line = demo.grafana_source(str(package), repository_answers=False)
    assert variables["grafana_package_file"] == str(package)
    assert demo.grafana_source("", repository_answers=True)[0] == {}
    variables, line = demo.grafana_source("", repository_answers=False)
    assert variables == {"koprogo_omit": ["grafana"]}
    assert "GRAFANA_DEB=" in line
    with pytest.raises(LabError, match="GRAFANA_DEB"):
        demo.grafana_source(str(tmp_path / "missing.deb"), repository_answers=True)


def test_the_last_screen_does_not_promise_what_is_missing() -> None:
    took = demo.Took(total=99, preparation=61, steps={}, plays={"site.yml": 30})
    with_it = demo.summary("", took, with_grafana=True)
    without = demo.summary("", took, with_grafana=False)
    assert "Grafana       http" in with_it
    assert "Grafana       http" not in without
    assert "http://127.0.0.1:9090" in without
    assert "Took: preparation 1:01, site.yml 0:30" in without


def test_a_failed_command_tells_the_end_of_its_messages() -> None:
    with pytest.raises(LabError, match=r"failed \(3\):\nwhy"):
        shell.output(["sh", "-c", "echo why >&2; exit 3"])
    with pytest.raises(LabError, match="longer than"):
        shell.output(["sleep", "5"], timeout=0.1)
    with pytest.raises(LabError, match="not installed"):
        shell.output(["no-such-command"])


def test_packages_are_left_to_the_user_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"install docker\.io"):
        shell.install_packages(["docker.io"], "The lab needs a container engine")
