"""Attacks, each with the rules that must see it, and their harmless neighbours, which none may."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ATTACKS", "NEIGHBOURS", "Attack", "raw_request"]


@dataclass(frozen=True)
class Attack:
    """A request and the numbers of exactly those rules that it breaks."""

    path: str
    sids: frozenset[int]
    body: str = ""


def _of(path: str, *sids: int, body: str = "") -> Attack:
    return Attack(path, frozenset(sid + 9100000 for sid in sids), body)


#: Each rule is there at least once, and each path only once.
ATTACKS = (
    # SQL injection
    _of("/api/v1/buildings?id=1%20UNION%20SELECT%20password%20FROM%20users", 1),
    _of("/api/v1/buildings?id=1/**/union/**/all/**/select/**/1", 1),
    _of("/api/v1/buildings?name=x'%20OR%20'1'='1", 2),
    _of("/api/v1/buildings?id=1+or+1=1", 3),
    _of("/api/v1/buildings?id=1;SELECT+pg_sleep(5)", 4, 6),
    _of("/api/v1/buildings?id=1;DROP+TABLE+users", 6),
    _of("/api/v1/buildings?q=1+from+information_schema.tables", 5),
    _of("/api/v1/buildings?id=1;select+secret+from+users", 6),
    _of("/api/v1/buildings?id=1);update+users+set+admin=1", 6),
    _of("/api/v1/buildings?name=x'%20and%20name%20like%20'a%25", 2),
    _of("/api/v1/login?user=admin'--", 7),
    _of("/api/v1/login?user=admin'%20--%20&password=x", 7),
    _of("/api/v1/login?user=admin'%23", 7),
    _of("/body/1", 9, body='{"name":"x\' or 1=1 --"}'),
    _of("/body/2", 8, body="id=1' union select secret from users"),
    # Cross-site scripting
    _of("/search?q=%3Cscript%3Ealert(1)%3C/script%3E", 21),
    _of("/search?q=%3Cimg%20src=x%20onerror=alert(1)%3E", 22),
    _of("/search?q=%22%20onmouseover=%22alert(1)", 22),
    _of("/search?next=javascript:alert(1)", 23),
    _of("/search?q=%3Ciframe%20src=//evil.example%3E", 21),
    _of("/body/3", 24, body='{"name":"<script>alert(1)</script>"}'),
    # Path traversal
    _of("/files/../../../../etc/passwd", 41, 42, 43),
    _of("/files/..%2f..%2f..%2fetc%2fpasswd", 41, 42, 43),
    _of("/files/%2e%2e/%2e%2e/%2e%2e/var/log", 41, 42),
    _of("/files/%252e%252e%252f%252e%252e%252fetc", 41, 42),
    _of("/files?name=..\\..\\windows\\win.ini", 41, 42, 43),
    _of("/files?name=/etc/passwd", 43),
)

#: As near to a rule as an honest request gets: each holds the word that its rule looks for first.
NEIGHBOURS = (
    "/union-square/selection",
    "/search?q=union+and+select",
    "/search?q=O'Brien+or+L'Oree",
    "/buildings?rooms=1+or+2",
    "/search?q=benchmark+of+prices+(2026)",
    "/search?q=information_schema",
    "/search?q=a;drop+off+keys",
    "/search?q=it's+--+fine",
    "/search?q=landlords'+and+tenants+like+it",
    "/search?q=benchmark+(2026)",
    "/search?q=Lot+3;+update+planned",
    "/search?q=travaux+2026;+select+lots",
    "/search?q=lot+'B'+%2312",
    "/search?q=unit+'A'+--+garage",
    "/search?q=%3C+script",
    "/search?q=onboarding=1",
    "/search?q=javascript+developer:+wanted",
    "/static/../app.css",
    "/search?q=..%2fannex",
    "/docs/etc/passwords",
)


def raw_request(method: str, path: str, body: str = "", agent: str = "Mozilla/5.0") -> str:
    """A request as it goes over the wire: no client library puts a path in order."""
    head = f"{method} {path} HTTP/1.1\r\nHost: api.example\r\nUser-Agent: {agent}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n"
    return f"{head}\r\n{body}"
