"""Containers that ask each other: who is let in at a door, and who is not."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Box", "docker", "make_authority"]

_CLIENT = Path(__file__).with_name("door_client.py").read_text(encoding="utf-8")

_WRITER = """
import json, os, sys, time
path, marker, stop = sys.argv[1:]
count = 0
while not os.path.exists(stop):
    line = {"remote_addr": "127.0.0.1", "level": "INFO", "message": f"{marker} {count}"}
    with open(path, "a", encoding="utf-8") as file:
        print(json.dumps(line), file=file)
    count += 1
    time.sleep(0.05)
print(count)
"""


def docker(*arguments: str, stdin: str = "", check: bool = True) -> str:
    """Output of a docker command, standard error included."""
    done = subprocess.run(
        ["docker", *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout


@dataclass(frozen=True)
class Box:
    """A container, by what it can do."""

    name: str

    def __str__(self) -> str:
        return self.name

    def sh(self, command: str, *, check: bool = True) -> str:
        """Output of a shell command in it."""
        return docker("exec", self.name, "sh", "-c", command, check=check)

    def ask(self, what: str, address: str, **options: object) -> Any:
        """What client.py finds from here."""
        flags = [f"--{name}={value}" for name, value in options.items()]
        arguments = ("exec", "-i", self.name, "python3", "-", what, address, *flags)
        return json.loads(docker(*arguments, stdin=_CLIENT))

    @property
    def address(self) -> str:
        """IPv4 address on the scenario's network, which is the only one with IPv4."""
        template = "{{ range .NetworkSettings.Networks }}{{ .IPAddress }} {{ end }}"
        return docker("inspect", "--format", template, self.name).split()[0]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of it runs while the block does. A busy kernel may take several tries to freeze it."""
        for _try in range(4):
            docker("pause", self.name, check=False)
            if docker("inspect", "--format", "{{ .State.Status }}", self.name).strip() == "paused":
                break
            time.sleep(2)
        else:
            docker("pause", self.name)
        try:
            yield
        finally:
            docker("unpause", self.name)

    @contextlib.contextmanager
    def scraping(self, address: str) -> Iterator[dict[str, Any]]:
        """A scrape every 0.2 s in the background; the dictionary is filled when the block ends."""
        result: dict[str, Any] = {}
        stop = f"/run/stop-scraping-{time.monotonic_ns()}"
        thread = threading.Thread(
            target=lambda: result.update(self.ask("loop", address, until=stop))
        )
        thread.start()
        try:
            yield result
        finally:
            self.sh(f"touch {stop}")
            thread.join()

    @contextlib.contextmanager
    def writing(self, path: str, marker: str) -> Iterator[list[str]]:
        """Twenty numbered lines a second, appended in it; the list has their messages when the block ends."""
        messages: list[str] = []
        stop = f"/run/stop-writing-{time.monotonic_ns()}"

        def write() -> None:
            arguments = ("exec", "-i", self.name, "python3", "-", path, marker, stop)
            count = int(docker(*arguments, stdin=_WRITER))
            messages.extend(f"{marker} {number}" for number in range(count))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield messages
        finally:
            self.sh(f"touch {stop}")
            thread.join()


def make_authority(box: Box, folder: str, common_name: str) -> dict[str, str]:
    """Another authority's certificate for the same name, made in the container."""
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    box.sh(
        f"mkdir -p {folder} && cd {folder} && "
        f"openssl req -x509 {curve} -keyout ca.key -out ca.crt -subj /CN=other -days 2 && "
        f"openssl req {curve} -keyout host.key -out host.csr -subj /CN={common_name} && "
        "openssl x509 -req -in host.csr -CA ca.crt -CAkey ca.key -out host.crt -days 2"
    )
    return {"cert": f"{folder}/host.crt", "key": f"{folder}/host.key"}
