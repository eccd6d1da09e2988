"""A test of one host, run on all hosts of its scenario at once: it mostly waits for daemons."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["on_each"]


def on_each(
    hosts: Callable[[], Iterable[Any]],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a test that takes a host first: it fails if it fails on one, and names that."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        def together(**arguments: object) -> None:
            with ThreadPoolExecutor() as pool:
                running = {host: pool.submit(test, host, **arguments) for host in hosts()}
            errors = {host: error for host, one in running.items() if (error := one.exception())}
            for host, error in errors.items():
                error.add_note(f"on {host}")
            if errors:
                raise BaseExceptionGroup(", ".join(map(str, errors)), list(errors.values()))

        # pytest takes the fixtures that a test wants from its signature, an attribute that mypy doesn't know.
        signature = inspect.signature(test)
        rest = list(signature.parameters.values())[1:]
        together.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        together.__name__, together.__doc__, together.__module__ = (
            test.__name__,
            test.__doc__,
            test.__module__,
        )
        return together

    return decorate
