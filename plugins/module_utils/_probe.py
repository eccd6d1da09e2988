# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Ask a daemon over HTTP whether it is well, and wait until it is."""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ProbeError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker

__all__ = [
    "PROBE_OPTIONS",
    "Answer",
    "Probe",
    "ask",
    "await_probes",
    "confirmed",
    "fetch",
    "metric_values",
    "web_address",
]

_T = TypeVar("_T")
# One silence may be a collection of garbage, or a full second of a busy host.
_LOOKS = 3

PROBE_OPTIONS: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "method": {"type": "str", "default": "GET", "choices": ["GET", "HEAD", "POST", "PUT"]},
    "headers": {"type": "dict", "default": {}},
    "status": {"type": "int", "default": 200},
    "matches": {"type": "str"},
    "metric": {"type": "str"},
    "equals": {"type": "float"},
    "at_least": {"type": "float"},
    "at_most": {"type": "float"},
    "after_action": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 30.0},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
    "ca_cert": {"type": "path"},
}

_BODY_LIMIT = 16 * 1024 * 1024
_EXCERPT = 300
_SAMPLE = re.compile(
    r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*$",
)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=)\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer; status 0 means that there was none, and ``error`` says why.

    ``silent`` if the other side refused, broke off or said nothing in time. Else the question is at
    fault: a name that nobody knows, a certificate that isn't trusted, a server that isn't HTTP's.
    """

    status: int
    body: str
    error: str = ""
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One question to a daemon and what the answer has to be.

    ``timeout`` is in seconds for all tries together. ``metric`` is a name or a selector with
    exact labels, ``name{label="value"}``; every sample that it selects has to hold, and at
    least one must exist. ``after_action`` demands that the sample, a Unix time in seconds,
    is not before the reload or restart that is being judged.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    matches: str | None = None
    metric: str | None = None
    equals: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    after_action: bool = False
    timeout: float = 30.0
    client_cert: str | None = None
    client_key: str | None = None
    ca_cert: str | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any], *, where: str = "probe") -> Probe:
        """Make a probe of a module's option; unknown keys and wrong combinations raise InputError."""
        unknown = sorted(set(options) - set(PROBE_OPTIONS))
        if unknown:
            raise InputError(
                f"{where}: unknown option {unknown[0]}, expected one of {', '.join(PROBE_OPTIONS)}."
            )
        probe = cls(**{key: value for key, value in options.items() if value is not None})
        web_address(probe.url, option=f"{where}: url")
        limits = (probe.equals, probe.at_least, probe.at_most)
        needs_metric = probe.after_action or any(limit is not None for limit in limits)
        if needs_metric and not probe.metric:
            raise InputError(
                f"{where}: equals, at_least, at_most and after_action need metric ({probe.url})."
            )
        if probe.metric:
            _selector(probe.metric, where=where)
        if probe.matches is not None:
            try:
                re.compile(probe.matches)
            except re.error as exc:
                raise InputError(
                    f"{where}: matches is not a regular expression: {exc} ({probe.url})."
                ) from exc
        if probe.timeout <= 0:
            raise InputError(
                f"{where}: timeout must be above 0 seconds, found {probe.timeout:g} ({probe.url})."
            )
        return probe


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
    client_cert: str | None = None,
    client_key: str | None = None,
    ca_cert: str | None = None,
    data: bytes | None = None,
) -> Answer:
    """Send one request. Never through a proxy: the environment's is for the outside world."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirect()]
    try:
        if url.startswith("https://"):
            context = ssl.create_default_context(cafile=ca_cert)
            if client_cert:
                context.load_cert_chain(client_cert, client_key)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        if method in ("POST", "PUT") and data is None:
            data = b""
        # Probe.from_options lets only http and https pass.
        request = urllib.request.Request(  # noqa: S310
            url, data=data, method=method, headers=dict(headers or {})
        )
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
            return Answer(
                status=response.status, body=response.read(_BODY_LIMIT).decode("utf-8", "replace")
            )
    except urllib.error.HTTPError as exc:
        with exc:
            return Answer(status=exc.code, body=_body(exc))
    except urllib.error.URLError as exc:
        return Answer(status=0, body="", error=str(exc.reason), silent=_silent(exc.reason))
    except (OSError, ValueError) as exc:
        error = str(exc) or type(exc).__name__
        return Answer(status=0, body="", error=error, silent=_silent(exc))
    except Exception as exc:
        error = f"{type(exc).__name__}: {exc}"
        return Answer(status=0, body="", error=error, silent=_silent(exc))


def _silent(reason: str | BaseException) -> bool:
    return isinstance(reason, (TimeoutError, ConnectionError, http.client.IncompleteRead))


def web_address(url: str, *, option: str) -> str:
    """Return the URL; InputError unless it is one of HTTP's."""
    if not re.match(r"https?://[^/]", url):
        raise InputError(f"{option} must begin with http:// or https://, found '{url}'.")
    return url


def ask(probe: Probe, *, timeout: float = 5.0, acted_at: float | None = None) -> str:
    """Ask once; return what is wrong, or an empty string.

    ``acted_at`` is the Unix time in seconds of the reload or restart that is judged.
    """
    answer = fetch(
        probe.url,
        method=probe.method,
        headers=probe.headers,
        timeout=timeout,
        client_cert=probe.client_cert,
        client_key=probe.client_key,
        ca_cert=probe.ca_cert,
    )
    if answer.error:
        return f"{probe.url} does not answer: {answer.error}"
    if answer.status != probe.status:
        return (
            f"{probe.url} answered {answer.status}, expected {probe.status}{_excerpt(answer.body)}"
        )
    if probe.matches is not None and not re.search(probe.matches, answer.body, re.MULTILINE):
        return f"{probe.url}: the body does not match '{probe.matches}'{_excerpt(answer.body)}"
    if probe.metric is not None:
        return _judge_metric(probe, answer.body, acted_at)
    return ""


def confirmed(
    found: _T,
    again: Callable[[], _T],
    doubtful: Callable[[_T], bool],
    sleep: Callable[[float], None],
) -> _T:
    """Return what was found, looking C(again) each second, three times in all, while it is C(doubtful)."""
    for _look in range(_LOOKS - 1):
        if not doubtful(found):
            break
        sleep(1.0)
        found = again()
    return found


def await_probes(
    probes: Iterable[Probe],
    *,
    acted_at: float | None = None,
    given_up: Callable[[], str] = lambda: "",
    masker: Masker | None = None,
    interval: float = 0.25,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[dict[str, Any]]:
    """Wait until each probe holds; return one row of evidence for each.

    Each has its own time limit, counted from the beginning. ``given_up`` is asked between
    tries and returns why waiting is of no use any more (the process is dead). Raises
    ProbeError with the last problem.
    """
    mask = (masker or Masker()).text
    started = clock()
    evidence: list[dict[str, Any]] = []
    for probe in probes:
        tries = 0
        pause = interval
        while True:
            tries += 1
            left = probe.timeout - (clock() - started)
            problem = ask(probe, timeout=max(0.5, min(5.0, left)), acted_at=acted_at)
            row = {"url": mask(probe.url), "tries": tries, "seconds": round(clock() - started, 3)}
            if probe.metric:
                row["metric"] = probe.metric
            if not problem:
                evidence.append({**row, "ok": True})
                break
            left = probe.timeout - (clock() - started)
            reason = given_up() or (f"not well within {probe.timeout:g} s" if left <= 0 else "")
            if reason:
                evidence.append({**row, "ok": False, "problem": mask(problem)})
                raise ProbeError(mask(f"{problem} ({reason})"), probes=evidence)
            sleep(min(pause, max(left, 0.01)))
            pause = min(pause * 1.5, 2.0)
    return evidence


def metric_values(text: str, metric: str) -> list[float]:
    """Return the samples of a metric in Prometheus's text format.

    ``metric`` is a name, or a name with exact labels that a sample must carry at least.
    """
    name, labels = _selector(metric, where="metric")
    values = []
    for line in text.splitlines():
        if not line.startswith(name):
            continue
        match = _SAMPLE.match(line)
        if match is None or match.group("name") != name:
            continue
        found = dict(_LABEL.findall(match.group("labels") or ""))
        if labels.items() <= found.items():
            try:
                values.append(float(match.group("value")))
            except ValueError:
                continue
    return values


def _judge_metric(probe: Probe, body: str, acted_at: float | None) -> str:
    values = metric_values(body, probe.metric or "")
    if not values:
        return f"{probe.url} has no sample of {probe.metric}"
    for value in values:
        shown = f"{probe.url}: {probe.metric} is {value:g}"
        if probe.equals is not None and value != probe.equals:
            return f"{shown}, expected {probe.equals:g}"
        if probe.at_least is not None and not value >= probe.at_least:
            return f"{shown}, expected at least {probe.at_least:g}"
        if probe.at_most is not None and not value <= probe.at_most:
            return f"{shown}, expected at most {probe.at_most:g}"
        if probe.after_action and acted_at is not None and not value >= acted_at:
            return f"{probe.url}: {probe.metric} is {value:.3f}, which is before the reload at {acted_at:.3f}"
    return ""


def _selector(metric: str, *, where: str) -> tuple[str, dict[str, str]]:
    match = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?", metric.strip())
    if match is None:
        raise InputError(
            f"{where}: metric must look like name or name{{label=\"value\"}}, found '{metric}'."
        )
    return match.group(1), dict(_LABEL.findall(match.group(2) or ""))


def _excerpt(body: str) -> str:
    text = " ".join(body.split())
    if not text:
        return ""
    return f": {text[:_EXCERPT]}{' …' if len(text) > _EXCERPT else ''}"


def _body(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(_BODY_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer of its own: the status that was asked for is judged."""

    def redirect_request(self, *_arguments: Any, **_keywords: Any) -> None:
        """Follow nothing."""
        return
