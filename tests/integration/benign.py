"""What ordinary clients of a property manager's API send: nothing of it may raise an alert or a ban.

Words that look like an attack to a careless rule are in it on purpose: a Union square, an O'Brien, a
"select" in a title, relative dates, quotes in prose, code in a support message.
"""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

__all__ = ["requests"]

Request = tuple[str, str, str, str]

_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
    "KoproGo-Mobile/2.4 (Android 14)",
    "curl/8.5.0",
)
_WORDS = (
    "Union Square", "union-square/selection", "Selection committee", "O'Brien", "L'Orée du bois",
    "d'or et d'argent", "Rock 'n' roll", "Where do I select all units from the list?",
    "drop off the keys; update the file", "price < 100 and size > 50", "1 or 2 rooms", "a=b or c=d",
    "50% off", "100%", "C++ & C#", "AT&T", "Müller & Söhne", "Škoda", "北京", "emoji 🏠", "<3",
    "script for the meeting", "javascript developer wanted", "on click of the button = nothing",
    "online=true", "onboarding", "sleep in benches (park)", "etc.", "see ../annex", "v1..v2",
    "--verbose", "rent -- see annex", "# 12", "/* note */", "it's 'quoted' and so on",
    "'twas and is", "grant from the city", "create a copy", "and 3 = 3 people", "A/B testing",
    "information schema of the house", "pg catalogue", "load file", "benchmark of prices",
    "Rue de l'Union 12, select apartment", "and/or", "either 'or' or 'and'", "x' y' z'",
    "https://example.org/a/b?c=d", "file:notes.txt", "C:\\\\Users\\\\me", "user@example.org",
)  # fmt: skip
_PATHS = (
    "/", "/health", "/api/v1/buildings", "/api/v1/buildings/17", "/api/v1/buildings/17/units?page=2",
    "/api/v1/expenses?from=2026-01-01&to=2026-12-31&sort=-date", "/api/v1/expenses?status=in(open,paid)",
    "/api/v1/owners?fields[]=name&fields[]=email", "/api/v1/units?filter%5Bfloor%5D=3",
    "/api/v1/documents/annual-report..final.pdf", "/api/v1/documents/a...b", "/api/v1/documents/..hidden",
    "/static/app.min.js?v=1.2.3-rc.1", "/static/../static/app.css", "/static/select.css",
    "/static/union.svg", "/api/v1/meetings/2026-11-22T18:00:00Z", "/api/v1/search?q=a+b+c&or=name",
    "/api/v1/search?order=asc&and=1", "/api/v1/reports?columns=id,name,price&where=", "/favicon.ico",
    "/api/v1/login?next=%2Fdashboard", "/api/v1/login?redirect=https%3A%2F%2Fapp.example%2Fcallback",
    "/.well-known/security.txt", "/api/v1/tokens/eyJhbGciOiJIUzI1NiJ9.e30.abc-_", "/robots.txt",
    "/api/v1/payments?id=12&amount=12.50&currency=EUR", "/api/v1/units?id=1,2,3&expand=owner(name)",
)  # fmt: skip


def _body(word: str) -> str:
    return json.dumps({"title": word, "text": f"Hello, {word}. It's fine, isn't it?"})


def requests() -> list[Request]:
    """Method, path, body and user agent of each request."""
    found: list[tuple[str, str, str]] = [("GET", path, "") for path in _PATHS]
    for word in _WORDS:
        found.append(("GET", f"/api/v1/search?q={quote_plus(word)}", ""))
        found.append(("GET", f"/api/v1/tags/{quote(word, safe='')}?limit=20", ""))
        found.append(("POST", "/api/v1/messages", _body(word)))
        found.append(("PUT", "/api/v1/buildings/17", json.dumps({"name": word, "floors": 4})))
    return [
        (method, path, body, _AGENTS[number % len(_AGENTS)])
        for number, (method, path, body) in enumerate(found)
    ]
