"""Follows the alerts of Prometheus and Loki, second by second, with the host's clock."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.integration.boxes import Box

__all__ = ["Watcher"]

_ASK = """
import json, sys, time, urllib.request as u
found = []
for url in ("http://127.0.0.1:9090/api/v1/alerts", "http://127.0.0.1:3100/prometheus/api/v1/alerts"):
    found += json.load(u.urlopen(url, timeout=5))["data"]["alerts"]
print(json.dumps({"time": time.time(), "alerts": found}))
"""


@dataclass
class Watcher:
    """When each alert was first seen to fire since it was last quiet, and when it was quiet again."""

    box: Box
    fired: dict[str, float] = field(default_factory=dict)
    quiet: dict[str, float] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        """Follow in the background until C(stop)."""
        thread = threading.Thread(target=self._follow, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End the thread with its next round."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            answer = self.box.sh(f"python3 -c '{_ASK}'", check=False)
            if answer.startswith("{"):
                self._note(json.loads(answer))
            self._stop.wait(0.5)

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
