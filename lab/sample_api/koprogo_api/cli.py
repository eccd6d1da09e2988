# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: `serve`, `traffic`, and root's switch for the faults."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .config import ConfigurationError, load_settings
from .faults import FaultError, Faults, merge, parse_assignments, parse_faults

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="koprogo-api", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the API; settings come from KOPROGO_… variables")
    traffic = commands.add_parser(
        "traffic", help="send a bounded mix of requests to a loopback API"
    )
    traffic.add_argument("--target", default="http://127.0.0.1:8080")
    traffic.add_argument("--rate", type=float, default=4.0, help="requests a second")
    traffic.add_argument("--duration", type=float, default=3600.0, help="seconds")
    traffic.add_argument("--seed", type=int, default=1)
    faults = commands.add_parser("faults", help="show or switch faults; root only")
    actions = faults.add_subparsers(dest="action", required=True)
    actions.add_parser("show")
    actions.add_parser("clear", help="switch everything off")
    actions.add_parser("expire", help="switch off what doesn't persist; run before the API starts")
    on = actions.add_parser("on", help="for example: on errors rate=0.5 status=503")
    on.add_argument("kind")
    on.add_argument("option", nargs="*", help="name=value")
    on.add_argument("--persist", action="store_true", help="survive a restart of the API")
    off = actions.add_parser("off")
    off.add_argument("kind")
    return parser


def _replace(path: Path, content: str) -> None:
    """Write beside and rename: the API never reads half a file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(content)
        Path(name).rename(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _switch(options: argparse.Namespace, path: Path) -> int:
    current = parse_faults(path.read_text(encoding="utf-8")) if path.exists() else Faults()
    if options.action == "on":
        current = merge(
            current, options.kind, parse_assignments(options.option), persist=options.persist
        )
    elif options.action == "off":
        current = merge(current, options.kind, None, persist=current.persist)
    elif options.action == "clear" or (options.action == "expire" and not current.persist):
        current = Faults()
    if options.action != "show":
        if current.active():
            _replace(path, current.to_json())
        else:
            path.unlink(missing_ok=True)
    print(current.to_json(), end="")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 2 for a wrong setting or option."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "faults":
            return _switch(options, load_settings(os.environ).faults_file)
        # The libraries are loaded only where they are needed: the switch works without them.
        if options.command == "serve":
            from .server import serve  # noqa: PLC0415

            return serve(load_settings(os.environ))
        from .traffic import Traffic  # noqa: PLC0415

        async def generate() -> int:
            return await Traffic(
                target=options.target,
                rate=options.rate,
                seconds=options.duration,
                seed=options.seed,
            ).run()

        return asyncio.run(generate())
    except (ConfigurationError, FaultError, OSError) as error:
        print(f"koprogo-api: {error}", file=sys.stderr)
        return 2
