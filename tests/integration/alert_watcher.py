"""Follows the alerts of Prometheus and Loki, second by second, with the host's clock."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.boxes import Box

__all__ = ["Watcher"]

# One process that goes on until nobody reads any more: a start of Python each second is a fifth of a core.
_FOLLOW = """
import json, select, sys, time, urllib.request as u
urls = ("http://127.0.0.1:9090/api/v1/alerts", "http://127.0.0.1:3100/prometheus/api/v1/alerts")
while not select.select([sys.stdin], [], [], 0.5)[0]:
    try:
        found = [a for url in urls for a in json.load(u.urlopen(url, timeout=5))["data"]["alerts"]]
    except OSError:
        continue
    print(json.dumps({"time": time.time(), "alerts": found}), flush=True)
"""


@dataclass
class Watcher:
    """When each alert was first seen to fire since it was last quiet, and when it was quiet again."""

    box: Box
    fired: dict[str, float] = field(default_factory=dict)
    quiet: dict[str, float] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    _follower: subprocess.Popen[str] | None = None

    def start(self) -> threading.Thread:
        """Follow in the background until C(stop)."""
        argv = ["docker", "exec", "-i", self.box.name, "python3", "-c", _FOLLOW]
        self._follower = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        thread = threading.Thread(target=self._follow, args=(self._follower.stdout,), daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End the thread with its next round."""
        if self._follower and self._follower.stdin:
            self._follower.stdin.close()
            self._follower.wait(timeout=10)

    def _follow(self, answers: Iterable[str]) -> None:
        for line in answers:
            self._note(json.loads(line))

    def _note(self, answer: dict[str, Any]) -> None:
        firing = {a["labels"]["alertname"]: a for a in answer["alerts"] if a["state"] == "firing"}
        self.seen |= firing
        for name in firing.keys() - self.fired.keys():
            self.fired[name] = answer["time"]
            self.quiet.pop(name, None)
        for name in self.fired.keys() - firing.keys():
            del self.fired[name]
            self.quiet[name] = answer["time"]

    def wait_fired(self, name: str, until: float) -> float:
        """When it fired; fails the test after C(until), in seconds since 1970."""
        return self._wait(self.fired, name, until, "fires")

    def wait_quiet(self, name: str, until: float) -> float:
        """When it ended; fails the test after C(until), in seconds since 1970."""
        return self._wait(self.quiet, name, until, "ends")

    def _wait(self, events: dict[str, float], name: str, until: float, what: str) -> float:
        while name not in events:
            assert time.time() < until, f"{name} {what} late; firing now: {sorted(self.fired)}"
            time.sleep(0.5)
        return events[name]
