"""Ask a host's daemons over its own loopback, as a test: nothing is read from their files.

The hosts have no curl; each question is one Python process there, over the connection that
testinfra has.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode

__all__ = [
    "Host",
    "get",
    "get_many",
    "logql",
    "promql",
    "sockets",
    "targets",
    "targets_up",
    "wait_for",
    "wait_for_each_once",
]

_FETCH = (
    "import sys,urllib.request as u;"
    "r=u.build_opener(u.ProxyHandler({})).open(sys.argv[1],timeout=20);"
    "sys.stdout.write(r.read().decode())"
)
# Any status is an answer here, and the answers come in the order of the questions.
_FETCH_MANY = """
import concurrent.futures as c, json, sys, urllib.error as e, urllib.request as u
opener = u.build_opener(u.ProxyHandler({}))
def fetch(url):
    try:
        reply = opener.open(url, timeout=60)
    except e.HTTPError as error:
        reply = error
    return reply.status, reply.read().decode()
with c.ThreadPoolExecutor(4) as pool:
    print(json.dumps(list(pool.map(fetch, json.loads(sys.argv[1])))))
"""
# The kernel takes arguments of 128 KiB.
_MOST_CHARACTERS = 60_000


class Host(Protocol):
    """The part of testinfra's host that is used here."""

    def check_output(self, command: str, *args: str) -> str:
        """Standard output of a command that must succeed."""


def get(host: Host, url: str) -> str:
    """Body of a loopback URL of the host; fails the test on any status but 2xx."""
    return host.check_output(f"python3 -c {shlex.quote(_FETCH)} {shlex.quote(url)}")


def get_many(host: Host, urls: Sequence[str]) -> list[tuple[int, str]]:
    """Status and body of each loopback URL of the host, asked in as few processes as possible."""
    batches: list[list[str]] = [[]]
    for url in urls:
        if sum(map(len, batches[-1])) + len(url) > _MOST_CHARACTERS:
            batches.append([])
        batches[-1].append(url)
    found: list[tuple[int, str]] = []
    for batch in batches:
        command = f"python3 -c {shlex.quote(_FETCH_MANY)} {shlex.quote(json.dumps(batch))}"
        found += map(tuple, json.loads(host.check_output(command)))
    return found


def promql(host: Host, query: str, port: int = 9090) -> list[dict[str, Any]]:
    """Instant vector of a PromQL query: a list of C(metric) and C(value)."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urlencode({'query': query})}"
    answer = json.loads(get(host, url))
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def targets(host: Host, port: int = 9090) -> dict[tuple[str, str], str]:
    """Health of each active target by C((job, instance))."""
    answer = json.loads(get(host, f"http://127.0.0.1:{port}/api/v1/targets?state=active"))
    return {
        (t["labels"]["job"], t["labels"]["instance"]): t["health"]
        for t in answer["data"]["activeTargets"]
    }


def targets_up(host: Host) -> dict[tuple[str, str], str]:
    """All active targets once each of them is up, else an empty dictionary; an error counts as down."""
    try:
        found = targets(host)
    except AssertionError:
        return {}
    return found if set(found.values()) == {"up"} else {}


def logql(host: Host, query: str, *, since: float, port: int = 3100) -> list[tuple[int, str]]:
    """Lines of a LogQL query from C(since) (seconds ago) on: nanoseconds and text, oldest first."""
    end = time.time()
    parameters = {
        "query": query,
        "start": int((end - since) * 1e9),
        "end": int((end + 5) * 1e9),
        "limit": 5000,
        "direction": "forward",
    }
    url = f"http://127.0.0.1:{port}/loki/api/v1/query_range?{urlencode(parameters)}"
    answer = json.loads(get(host, url))
    lines = [(int(t), v) for s in answer["data"]["result"] for t, v in s["values"]]
    return sorted(lines)


def sockets(host: Host) -> dict[str, str]:
    """Listening TCP sockets: C(address:port) to the process' name."""
    found = {}
    for line in host.check_output("ss -Hltnp").splitlines():
        fields = line.split()
        found[fields[3]] = fields[5].split('"')[1] if len(fields) > 5 else ""
    return found


def wait_for(condition: Callable[[], Any], *, seconds: float, what: str, every: float = 1.0) -> Any:
    """The first true value of C(condition) within C(seconds); otherwise the test fails with C(what)."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        last = condition()
        if last:
            return last
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds:.0f} s; last seen: {last!r}")


def wait_for_each_once(host: Host, marker: str, messages: Sequence[str]) -> None:
    """Each message of the API's log is in Loki, and none is there twice."""
    query = f'{{job="koprogo-api"}} |= "{marker}"'

    def found() -> list[str]:
        return [json.loads(text)["message"] for _time, text in logql(host, query, since=600)]

    assert messages
    wait_for(
        lambda: set(messages) <= set(found()),
        seconds=120,
        what=f"all {len(messages)} lines in Loki",
        every=3,
    )
    # A second copy would come with the next batch.
    time.sleep(3)
    assert sorted(found()) == sorted(messages)
