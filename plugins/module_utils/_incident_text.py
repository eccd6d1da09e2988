# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""An incident's record as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["markdown", "post_mortem"]


def _plain(value: Any) -> str:
    """One line that no renderer takes for markup."""
    text = " ".join(str(value).split())
    for sign in ("\\", "`", "*", "_", "[", "]", "<", ">", "|", "#"):
        text = text.replace(sign, f"\\{sign}")
    return text


def _block(value: Any) -> str:
    """Indented, so that nothing in it can end the block."""
    text = json.dumps(value, indent=2, sort_keys=True, default=str)
    return "".join(f"    {line}\n" for line in text.splitlines())


def _head(record: Mapping[str, Any]) -> list[str]:
    lines = [f"# {_plain(record.get('alert', ''))} on {_plain(record.get('host', ''))}", ""]
    for title, key in (
        ("Incident", "id"),
        ("Severity", "severity"),
        ("Outcome", "outcome"),
        ("Started", "started"),
        ("Ended", "ended"),
        ("Run by", "who"),
        ("Evidence sha256", "evidence_sha256"),
    ):
        lines.append(f"- {title}: {_plain(record.get(key) or 'unknown')}")
    lines.append(f"- Automatic: {'yes' if record.get('automatic') else 'no'}")
    if record.get("summary"):
        lines += ["", _plain(record["summary"])]
    return lines


def _timeline(record: Mapping[str, Any]) -> list[str]:
    rows = [(str(row.get("time", "")), _plain(row.get("text", ""))) for row in record["timeline"]]
    for row in record["actions"]:
        words = f"{row.get('action')} {row.get('phase')} {row.get('outcome', '')}".strip()
        rows.append((str(row.get("time", "")), _plain(words)))
    return [f"- {_plain(time)} {text}" for time, text in sorted(rows)] or ["- nothing yet"]


def markdown(record: Mapping[str, Any]) -> str:
    """The record for people."""
    compared = ["| | predicted | result |", "| --- | --- | --- |"]
    for key in sorted({*record["prediction"], *record["result"]}):
        before, after = record["prediction"].get(key, ""), record["result"].get(key, "")
        compared.append(f"| {_plain(key)} | {_plain(before)} | {_plain(after)} |")
    parts = [
        *_head(record),
        "",
        "## Timeline",
        "",
        *_timeline(record),
        "",
        "## Prediction and result",
        "",
        *(compared if len(compared) > 2 else ["Nothing was predicted."]),
        "",
        "## Evidence",
        "",
    ]
    return "\n".join(parts) + "\n" + _block(record["evidence"])


def post_mortem(record: Mapping[str, Any]) -> str:
    """A draft for people to go on with."""
    parts = [
        f"# Post-mortem draft: {_plain(record.get('alert', ''))} on {_plain(record.get('host', ''))}",
        "",
        "Written by the remediation. What only people know is left open.",
        "",
        "## What happened",
        "",
        *_head(record)[2:],
        "",
        "## Timeline",
        "",
        *_timeline(record),
        "",
        "## Impact",
        "",
        "Who was affected, for how long, and how much?",
        "",
        "## Root cause",
        "",
        "Which evidence shows it?",
        "",
        "## What went well, what did not",
        "",
        "Was it detected in time? Did the remediation do what it predicted?",
        "",
        "## Actions",
        "",
        "| What | Who | Until |",
        "| --- | --- | --- |",
        "",
    ]
    return "\n".join(parts)
