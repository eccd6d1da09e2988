# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _verify
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ProbeError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._probe import Probe
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import (
    Socket,
    SocketTable,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd
from ansible_collections.koprogo.observability.plugins.module_utils._verify import (
    Expectation,
    Verifier,
    parse_exposure,
)
from tests.unit.plugins.module_utils.install_lab import ListeningRunner

LIVING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "UnitFileState": "enabled",
    "MainPID": "4711",
    "NRestarts": "3",
    "ExecMainStatus": "0",
}
OVERALL = "→ Overall exposure level for x.service: {} OK 🙂\n"


class Table(SocketTable):
    """What the unit serves, look after look; the last one stays."""

    def __init__(self, *looks: Iterable[Socket]) -> None:
        super().__init__()
        self.looks = [sorted(look) for look in looks]

    def of(self, pids: Iterable[int]) -> list[Socket]:
        del pids
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def resident_bytes(self, pids: Iterable[int]) -> int:
        del pids
        return 1000

    def holder(self, wanted: Socket, *, but: Iterable[int] = ()) -> str:
        del but
        return "nginx (pid 12)" if wanted.port == 80 else ""


def tcp(address: str, port: int) -> Socket:
    return Socket(protocol="tcp", address=address, port=port)


WANTED = tcp("127.0.0.1", 9090)


def verify(
    *looks: Iterable[Socket],
    states: list[dict[str, str]] | None = None,
    exposure: str = OVERALL.format("1.1"),
    sleeps: list[float] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Verify a unit whose state changes from one question to the next."""
    remaining = [{**LIVING, **state} for state in states or [{}]]

    def answer(argv: list[str]) -> tuple[int, str]:
        if argv[0] == "systemd-analyze":
            return 0, exposure
        if argv[0] == "journalctl":
            return 0, "the daemon's last words\n"
        if "ControlGroup,MainPID" in argv[2]:
            return 0, "ControlGroup=\nMainPID=4711\n"
        state = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return 0, "".join(f"{key}={value}\n" for key, value in state.items())

    runner = ListeningRunner(answer)
    wanted = Expectation(
        **{"unit": "x.service", "listen": ["127.0.0.1:9090"], "listen_timeout": 0.2, **options}
    )
    verifier = Verifier(
        wanted,
        runner=runner,
        systemd=Systemd(runner),
        sockets=Table(*(looks or ([WANTED],))),
        sleep=(sleeps if sleeps is not None else []).append,
    )
    return verifier.verify()


def test_all_is_well() -> None:
    evidence = verify(max_exposure=2.0)
    assert evidence == {
        "unit": "x.service",
        "probes": [],
        "memory_bytes": 1000,
        "sockets": ["127.0.0.1:9090"],
        "exposure": 1.1,
        "active_state": "active",
        "sub_state": "running",
        "pid": 4711,
        "restarts": 3,
        "enabled": True,
    }


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"looks": [[]]}, "expected it to listen on 127.0.0.1:9090"),
        (
            {"looks": [[]], "listen": ["127.0.0.1:80"]},
            "127.0.0.1:80, but nginx (pid 12) has that port",
        ),
        (
            {"looks": [[WANTED, tcp("127.0.0.1", 6060)]]},
            "it listens on 127.0.0.1:6060, which is not expected",
        ),
        ({"looks": [[tcp("*", 9090)]]}, "it listens on *:9090, which is not expected"),
        (
            {"looks": [[WANTED, Socket(protocol="udp", address="*", port=53)]]},
            "it listens on *:53/udp, which is not expected",
        ),
        ({"listen_udp": ["127.0.0.1:1"]}, "expected it to listen on 127.0.0.1:1/udp"),
        (
            {"max_exposure": 1.0},
            "expected an exposure of at most 1 (systemd-analyze security), found 1.1",
        ),
        ({"max_exposure": 1.0, "exposure": "nonsense"}, "systemd-analyze security gave no figure"),
        (
            {"states": [{"UnitFileState": "disabled"}]},
            "expected it to be enabled at boot, found disabled",
        ),
        (
            {"states": [{"LoadState": "not-found", "ActiveState": "inactive"}]},
            "there is no such unit",
        ),
        (
            {
                "states": [
                    {
                        "ActiveState": "failed",
                        "SubState": "failed",
                        "Result": "exit-code",
                        "NRestarts": "0",
                    }
                ]
            },
            "expected it to be active, found failed (failed, result exit-code, exit status 0)",
        ),
        ({"states": [{}, {"NRestarts": "4"}]}, "it restarts by itself (NRestarts 3, then 4)"),
        ({"states": [{}, {"MainPID": "4800"}]}, "it restarts by itself"),
    ],
)
def test_each_finding_is_a_sentence(options: dict[str, Any], problem: str) -> None:
    looks = options.pop("looks", [])
    with pytest.raises(ServiceError) as caught:
        verify(*looks, **options)
    first = caught.value.message.splitlines()[0]
    assert first.startswith("x.service is not as it should be: ")
    assert problem in first
    assert caught.value.evidence["problems"]
    assert caught.value.evidence["unit"] == "x.service"


@pytest.mark.parametrize(
    ("restarts", "seconds_ago", "waits"),
    [("3", 0.5, 1.5), ("3", 60.0, 0), ("0", 0.4, 0.6), ("0", 1.1, 0)],
)
def test_what_was_started_must_live_a_while(
    restarts: str, seconds_ago: float, waits: float
) -> None:
    """A crash loop whose process lives for 0.4 s is seen running most of the time."""
    started = str(int((time.monotonic() - seconds_ago) * 1e6))
    living = {"NRestarts": restarts, "ExecMainStartTimestampMonotonic": started}
    sleeps: list[float] = []
    verify(states=[living], sleeps=sleeps)
    assert [waits - 0.4 < seconds <= waits for seconds in sleeps] == ([True] if waits else [])


def test_all_findings_come_together() -> None:
    with pytest.raises(ServiceError) as caught:
        verify([tcp("*", 9090)], max_exposure=1.0, states=[{"UnitFileState": "disabled"}])
    assert len(caught.value.evidence["problems"]) == 4
    assert caught.value.evidence["journal"] == ["the daemon's last words"]


def test_a_socket_may_come_a_moment_later() -> None:
    assert verify([], [], [WANTED])["sockets"] == ["127.0.0.1:9090"]


def test_a_socket_of_a_moment_is_no_finding() -> None:
    assert verify([WANTED, Socket(protocol="udp", address="*", port=40000)], [WANTED])["sockets"]


def test_sockets_need_not_be_judged() -> None:
    assert verify([tcp("*", 1)], listen_any=True)["sockets"] == ["*:1"]


def test_a_disabled_unit_may_be_wanted() -> None:
    assert verify(states=[{"UnitFileState": "disabled"}], enabled=False)["enabled"] is False


def test_a_probe_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_keywords: Any) -> None:
        raise ProbeError("http://x answered 500, expected 200.", probes=[{"ok": False}])

    monkeypatch.setattr(_verify, "await_probes", refuse)
    with pytest.raises(ServiceError, match="answered 500") as caught:
        verify(probes=[Probe(url="http://127.0.0.1:1/")])
    assert caught.value.evidence["probes"] == [{"ok": False}]


def test_a_dead_process_ends_the_waiting() -> None:
    """Thirty seconds of probing a unit that has failed would be thirty seconds wasted."""
    dead = {"ActiveState": "failed", "SubState": "failed"}
    with pytest.raises(ServiceError, match=r"does not answer.*x.service is failed"):
        verify(states=[{}, dead], probes=[Probe(url="http://127.0.0.1:1/", timeout=30)])


def test_a_dead_process_opens_no_socket_any_more() -> None:
    began = time.monotonic()
    with pytest.raises(ServiceError, match=r"expected it to be active, found failed"):
        verify([], states=[{}, {"ActiveState": "failed", "SubState": "failed"}], listen_timeout=20)
    assert time.monotonic() - began < 10


def test_wrong_options() -> None:
    with pytest.raises(InputError, match="listen: expected address:port"):
        verify(listen=["9090"])


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        (OVERALL.format("1.1"), 1.1),
        ("→ Overall exposure level for x.service: 9.2 UNSAFE 😨", 9.2),
        ("-> Overall exposure level for x@a:b.service: 10.0 DANGEROUS :-(", 10.0),
        ("Unit x.service not loaded.", None),
    ],
)
def test_exposure(text: str, figure: float | None) -> None:
    assert parse_exposure(text) == figure
