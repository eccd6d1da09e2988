"""Runs in a container, given to Python's standard input: knock, scan, or scrape in a loop.

Prints one JSON document. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import select
import socket
import ssl
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

PKI = "/etc/koprogo/pki"


def context(options: argparse.Namespace) -> ssl.SSLContext:
    """Read anew for each connection, as Prometheus does: files may be exchanged meanwhile."""
    made = ssl.create_default_context(cafile=options.ca)
    if options.cert:
        made.load_cert_chain(options.cert, options.key)
    return made


def scrape(options: argparse.Namespace) -> dict[str, Any]:
    """One request on a connection of its own; outcome is the status or how it failed."""
    started = time.monotonic()
    result: dict[str, Any] = {"body": "", "serial": ""}
    try:
        connection = http.client.HTTPSConnection(
            options.address, options.port, context=context(options), timeout=options.timeout
        )
        connection.connect()
        result["serial"] = (connection.sock.getpeercert() or {}).get("serialNumber", "")
        connection.request("GET", options.path)
        answer = connection.getresponse()
        result["body"] = answer.read().decode()
        result["outcome"] = str(answer.status)
    except ConnectionRefusedError:
        result["outcome"] = "refused"
    except TimeoutError:
        result["outcome"] = "timeout"
    except (OSError, http.client.HTTPException) as error:
        result["outcome"] = f"{type(error).__name__}: {error}"
    result["seconds"] = round(time.monotonic() - started, 3)
    return result


def loop(options: argparse.Namespace) -> dict[str, Any]:
    """A scrape every so often until a file appears, each in a thread: a slow one delays no other."""
    results: list[dict[str, Any]] = []
    threads = []
    end = time.monotonic() + options.seconds
    while time.monotonic() < end and not Path(options.until).exists():
        thread = threading.Thread(target=lambda: results.append(scrape(options)))
        thread.start()
        threads.append(thread)
        time.sleep(options.every)
    for thread in threads:
        thread.join()
    return {
        "outcomes": Counter(r["outcome"] for r in results),
        "serials": sorted({r["serial"] for r in results if r["serial"]}),
        "slowest": max(r["seconds"] for r in results),
    }


def knock(options: argparse.Namespace) -> dict[str, Any]:
    """TCP only: open, refused or timeout."""
    try:
        socket.create_connection((options.address, options.port), timeout=options.timeout).close()
    except ConnectionRefusedError:
        return {"outcome": "refused"}
    except TimeoutError:
        return {"outcome": "timeout"}
    return {"outcome": "open"}


def _look(address: str, ports: range, timeout: float) -> dict[int, str]:
    """Connect to many ports at once, on one thread; unanswered ones are left out."""
    found: dict[int, str] = {}
    with contextlib.ExitStack() as stack:
        poll, waiting = select.poll(), {}
        for port in ports:
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((address, port))
            poll.register(one, select.POLLOUT)
            waiting[one.fileno()] = (one, port)
        end = time.monotonic() + timeout
        while waiting and time.monotonic() < end:
            for descriptor, _event in poll.poll(100):
                one, port = waiting.pop(descriptor)
                poll.unregister(descriptor)
                error = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                found[port] = "refused" if error else "open"
    return found


def scan(options: argparse.Namespace) -> dict[str, Any]:
    """Every TCP port; one that doesn't answer is asked again by itself."""
    found: dict[int, str] = {}
    for first in range(1, 65_536, 500):
        found |= _look(options.address, range(first, min(first + 500, 65_536)), options.timeout)
    for port in set(range(1, 65_536)) - found.keys():
        options.port = port
        found[port] = knock(options)["outcome"]
    return {
        "counts": Counter(found.values()),
        "open": sorted(port for port, state in found.items() if state == "open"),
        "timeout": sorted(port for port, state in found.items() if state == "timeout"),
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["scrape", "loop", "knock", "scan"])
    parser.add_argument("address")
    parser.add_argument("--port", type=int, default=9998)
    parser.add_argument("--path", default="/metrics")
    parser.add_argument("--ca", default=f"{PKI}/ca.crt")
    parser.add_argument("--cert", default=f"{PKI}/host.crt")
    parser.add_argument("--key", default="/var/lib/koprogo/pki/host.key")
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("--every", type=float, default=0.2)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--until", default="/run/stop-scraping")
    options = parser.parse_args()
    answer = {"scrape": scrape, "loop": loop, "knock": knock, "scan": scan}[options.what](options)
    print(json.dumps(answer))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
