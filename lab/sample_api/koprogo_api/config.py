# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the API, read from the environment. No third-party import: unit-tested as it is."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ConfigurationError", "Settings", "is_loopback", "load_settings"]

_SSL_MODES = ("disable", "require")


class ConfigurationError(ValueError):
    """A setting is wrong; the message names it, what was expected and what was found."""


@dataclass(frozen=True)
class Settings:
    """What the service was told. `db_host` is an address or the directory of a unix socket."""

    listen_host: str
    listen_port: int
    db_host: str
    db_port: int
    db_name: str
    db_user: str
    db_ssl: str
    db_passfile: Path | None
    db_pool_max: int
    log_file: Path
    faults_file: Path
    trusted_proxies: frozenset[str]


def is_loopback(address: str) -> bool:
    """Tell whether `address` is a literal loopback address (names are not resolved)."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    raw = env.get(name, str(default))
    try:
        value = int(raw)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ConfigurationError(
            f"{name}: expected a whole number from {low} to {high}, found {raw!r}"
        )
    return value


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read and check all settings; raise ConfigurationError on the first wrong one."""
    listen_host = env.get("KOPROGO_LISTEN_HOST", "127.0.0.1")
    if not is_loopback(listen_host):
        raise ConfigurationError(
            f"KOPROGO_LISTEN_HOST: expected a loopback address, found {listen_host!r}"
        )
    proxies = frozenset(
        part.strip() for part in env.get("KOPROGO_TRUSTED_PROXIES", "").split(",") if part.strip()
    )
    for proxy in sorted(proxies):
        if not is_loopback(proxy):
            raise ConfigurationError(
                f"KOPROGO_TRUSTED_PROXIES: expected loopback addresses only, found {proxy!r}"
            )
    ssl_mode = env.get("KOPROGO_DB_SSL", "disable")
    if ssl_mode not in _SSL_MODES:
        raise ConfigurationError(
            f"KOPROGO_DB_SSL: expected one of {_SSL_MODES}, found {ssl_mode!r}"
        )
    passfile = env.get("KOPROGO_DB_PASSFILE", "")
    return Settings(
        listen_host=listen_host,
        listen_port=_integer(env, "KOPROGO_LISTEN_PORT", 8080, 1, 65535),
        db_host=env.get("KOPROGO_DB_HOST", "/var/run/postgresql"),
        db_port=_integer(env, "KOPROGO_DB_PORT", 5432, 1, 65535),
        db_name=env.get("KOPROGO_DB_NAME", "koprogo_db"),
        db_user=env.get("KOPROGO_DB_USER", "koprogo"),
        db_ssl=ssl_mode,
        db_passfile=Path(passfile) if passfile else None,
        db_pool_max=_integer(env, "KOPROGO_DB_POOL_MAX", 10, 1, 100),
        log_file=Path(env.get("KOPROGO_LOG_FILE", "/var/log/koprogo/api.log")),
        faults_file=Path(env.get("KOPROGO_FAULTS_FILE", "/run/koprogo-api-faults.json")),
        trusted_proxies=proxies,
    )
