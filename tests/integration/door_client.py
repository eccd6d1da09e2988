"""Runs in a container, given to Python's standard input: knock, scan, or scrape in a loop.

Prints one JSON document. Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import socket
import ssl
import threading
import time
from collections import Counter
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
    """A scrape every so often until the time is up, each in a thread: a slow one delays no other."""
    results: list[dict[str, Any]] = []
    threads = []
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
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


async def _look(address: str, port: int, limit: asyncio.Semaphore, timeout: float) -> str:
    async with limit:
        try:
            _reader, writer = await asyncio.wait_for(
                asyncio.open_connection(address, port), timeout
            )
        except TimeoutError:
            return "timeout"
        except OSError:
            return "refused"
        writer.close()
        return "open"


async def _look_at_all(options: argparse.Namespace) -> dict[str, Any]:
    limit = asyncio.Semaphore(400)
    ports = range(1, 65_536)
    found = await asyncio.gather(
        *(_look(options.address, port, limit, options.timeout) for port in ports)
    )
    by_port = dict(zip(ports, found, strict=True))
    return {
        "counts": Counter(found),
        "open": [port for port, state in by_port.items() if state == "open"],
        "timeout": [port for port, state in by_port.items() if state == "timeout"],
    }


def scan(options: argparse.Namespace) -> dict[str, Any]:
    """Every TCP port."""
    return asyncio.run(_look_at_all(options))


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
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    answer = {"scrape": scrape, "loop": loop, "knock": knock, "scan": scan}[options.what](options)
    print(json.dumps(answer))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
