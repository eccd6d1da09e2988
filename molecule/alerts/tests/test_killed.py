"""A remediation that is killed while the alert is silenced leaves nothing that hides the next incident."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from tests.integration.ask import wait_for
from tests.integration.faults import BOX
from tests.integration.live_remedy import active_silences
from tests.integration.remedy import LEDGER, killed, remediate

testinfra_hosts = ["ansible://monitoring"]


def stop_the_api() -> None:
    """And let no run that was killed stand in the way: its module goes on, and would start the API again."""
    wait_for(
        lambda: not BOX.sh("pgrep -fx /usr/bin/python3", check=False),
        seconds=60,
        what="the end of the killed run's modules",
    )
    BOX.sh(
        f"flock /run/koprogo-remediation.lock rm -f {LEDGER} {LEDGER}.head; systemctl stop koprogo-api"
    )


def left_behind(**variables: object) -> tuple[dict[str, Any], float]:
    """The silence of a run that was killed as soon as it was there, and in how many seconds it ends."""
    stop_the_api()
    with killed("api_down", box=BOX.name, **variables):
        wait_for(
            lambda: active_silences("ApiDown"), seconds=90, every=0.1, what="the run's silence"
        )
    (silence,) = active_silences("ApiDown")
    return silence, datetime.fromisoformat(silence["endsAt"]).timestamp() - time.time()


def test_the_silence_of_a_killed_run_ends_by_itself() -> None:
    silence, seconds = left_behind(remediation_silence_seconds=60)
    assert 0 < seconds <= 60, silence
    ends = time.monotonic() + seconds
    wait_for(lambda: not active_silences("ApiDown"), seconds=seconds + 10, what="the silence's end")
    # At its time, and by nobody's hand.
    assert time.monotonic() >= ends - 1


def test_the_next_run_takes_the_silence_of_a_killed_one_over_and_lifts_it() -> None:
    silence, seconds = left_behind()
    assert 600 < seconds <= 900, silence
    stop_the_api()
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(remediate, "api_down", box=BOX.name)
        while not run.done():
            # Never a second one, which nobody would lift.
            seen.add(tuple(row["id"] for row in active_silences("ApiDown")))
            time.sleep(0.5)
    outcome = run.result()
    assert outcome.rc == 0, outcome.text
    assert f"ApiDown on {BOX.name}: resolved. it acted" in outcome.text
    assert seen - {()} == {(silence["id"],)}
    assert not active_silences("ApiDown")
