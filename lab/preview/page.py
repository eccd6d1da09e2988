# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One self-contained web page for a dashboard: style, chart library, data and script inside."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["height", "page", "verdict"]

_FOLDER = Path(__file__).parent
# A row of Grafana's grid is 30 pixels high, with 8 between two.
_ROW, _HEAD = 38, 130


def height(data: Mapping[str, Any]) -> int:
    """Height of the page in pixels."""
    places = [one["place"] for one in (*data["panels"], *data["rows"])]
    return _HEAD + _ROW * max(int(place["y"] + place["h"]) for place in places)


def page(data: Mapping[str, Any], library: str) -> str:
    """The page's HTML. The data may hold anything a client wrote into a log: no tag can end it."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(data['title'])}</title><style>{style}</style></head>"
        '<body><header id="head"></header><main id="grid"></main>'
        f'<script type="application/json" id="data">{text}</script>'
        f"<script>{library}</script><script>{script}</script></body></html>\n"
    )


def verdict(data: Mapping[str, Any], seen: str, excused: set[int]) -> list[str]:
    """What is wrong with a page as a browser drew it.

    seen: the page's source after its script ran. excused: panels that may be empty.
    """
    found = [
        f"panel {panel['id']} ({panel['title']}): {error}"
        for panel in data["panels"]
        for error in panel["errors"]
    ]
    for panel in data["panels"]:
        match = re.search(rf'<section[^>]*data-panel="{panel["id"]}"[^>]*data-state="(\w+)"', seen)
        state = match[1] if match else "missing"
        if state == "drawn" or (state == "empty" and panel["id"] in excused):
            continue
        found.append(f"panel {panel['id']} ({panel['title']}): {state}")
    found += [
        f"script: {html.unescape(text)}" for text in re.findall(r'data-problem="([^"]*)"', seen)
    ]
    return found
