# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Exchange a component's configuration in one step, or not at all.

The order of the steps is the whole point. Killed before any one of them, the host has the
old set or the new one, and what is left behind tells the next run what to finish:

1. a new set is built beside the old one, and judged by the component's own checkers;
2. it gets its final name;
3. the pending mark says where we come from and where we go;
4. new links elsewhere are made: they lead through the active set, so a link to a file that
   only the new set has leads nowhere yet, which readers ignore;
5. one rename(2) exchanges the sets;
6. links that are not wanted any more go;
7. the service takes the configuration up and is probed;
8. the mark goes, then the sets that nobody needs.
"""

from __future__ import annotations

import contextlib
import posixpath
from dataclasses import replace

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._activation import (
    Outcome,
    Service,
    last_words,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    RolledBackError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._links import (
    make_links,
    missing_directories,
    remove_link,
    remove_links,
)
from ansible_collections.koprogo.observability.plugins.module_utils._plan import (
    Owners,
    Plan,
    Snapshot,
    is_ours,
    look,
    make_plan,
    owned,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sets import (
    Manifest,
    Pending,
    Store,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stage import (
    Verdict,
    bytes_needed,
    carry_late,
    judge,
    stage,
)
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_diff import (
    make_diff,
)
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    Request,
    strongest,
)
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_report import (
    Report,
)

__all__ = ["SYSTEMD", "Transaction"]

SYSTEMD = "/etc/systemd"


class Transaction:
    """One run for one component on one host."""

    def __init__(
        self,
        request: Request,
        *,
        store: Store,
        runner: Runner,
        service: Service,
        check_mode: bool = False,
        want_diff: bool = False,
        systemd: str = SYSTEMD,
    ) -> None:
        """Work on ``store``; with ``check_mode`` nothing stays changed."""
        self._request = request
        self._store = store
        self._runner = runner
        self._service = service
        self._check_mode = check_mode
        self._want_diff = want_diff
        self._systemd = systemd
        self._owners = Owners(strict=not check_mode)

    def run(self) -> Report:
        """Do it. Raises KoprogoError; after one, the old configuration is in use."""
        # A stranger in our place is refused before even the lock's directory is made.
        self._store.active()
        create = not self._check_mode and self._request.state == "present"
        with self._store.locked(create=create):
            if self._request.state == "absent":
                return self._absent()
            return self._present()

    # Present

    def _present(self) -> Report:
        store, request = self._store, self._request
        snapshot = look(store, request)
        plan = make_plan(request, store, snapshot, self._owners, systemd=self._systemd)
        pending = store.pending()
        report = Report(
            changed=plan.any or pending is not None,
            set_id=snapshot.active,
            location=store.link,
            plan=plan,
            healed=pending is not None,
            notes=self._owners.notes,
        )
        leftovers = store.leftovers()
        if not self._check_mode and pending is None and (leftovers or store.strays()):
            store.clean(leftovers)
        if not report.changed:
            report.verdict = Verdict(validated=False, reason="nothing differs")
            return report
        if self._want_diff:
            report.diff = make_diff(request, store, snapshot, plan)
        try:
            self._change(report, snapshot, plan, pending)
        except KoprogoError as error:
            error.evidence.setdefault("diff", report.diff)
            raise
        return report

    def _change(
        self, report: Report, snapshot: Snapshot, plan: Plan, pending: Pending | None
    ) -> None:
        """Stage, judge, exchange, activate; ``pending`` is what an earlier run left unfinished."""
        store = self._store
        self._service.observe()
        good = pending.good if pending else snapshot.active
        action, daemon_reload = _owed(pending, snapshot)
        mark = Pending(
            target=snapshot.active,
            good=good,
            action=strongest(plan.action, action),
            daemon_reload=plan.daemon_reload or daemon_reload,
            found=pending.found if pending else self._service.found_state,
            owed=action,
        )
        manifest = snapshot.manifest
        if plan.any:
            manifest = self._manifest(good)
            report.set_id = manifest.set_id
            report.verdict = self._build(snapshot, plan, manifest)
            mark = replace(mark, target=manifest.set_id)
        else:
            report.verdict = Verdict(validated=False, reason="nothing differs")
        if self._check_mode:
            report.set_id = snapshot.active
            report.outcome = Outcome(action=self._service.predict(mark.action))
            return
        if plan.any:
            self._prepare(mark, manifest, snapshot, pending)
        try:
            store.activate(mark.target)
            remove_links(store, keep=manifest)
            if plan.any:
                carry_late(store, snapshot, plan, manifest)
            report.outcome = self._service.apply(mark.action, daemon_reload=mark.daemon_reload)
        except OSError as error:
            raise self._roll_back(mark, manifest, _readable(error)) from error
        except KoprogoError as error:
            raise self._roll_back(mark, manifest, error) from error
        store.unmark()
        store.clean(store.leftovers())

    def _prepare(
        self, mark: Pending, manifest: Manifest, snapshot: Snapshot, pending: Pending | None
    ) -> None:
        """Everything between the verdict and the exchange; on failure all of it is undone."""
        store = self._store
        try:
            with _io.no_space("note the change", store.sets, needed=2 * 4096):
                store.complete(manifest.set_id)
                store.mark(mark)
                make_links(store, manifest)
        except (OSError, KoprogoError):
            with contextlib.suppress(OSError):
                remove_links(store, keep=snapshot.manifest)
                if pending is None:
                    store.unmark()
                else:
                    store.mark(pending)
                store.clean([store.folder(manifest.set_id), store.staging(manifest.set_id)])
                # Those that were moved lead back to where they led; there is room for them again.
                make_links(store, snapshot.manifest)
            raise

    def _manifest(self, good: str | None) -> Manifest:
        request = self._request
        missing = missing_directories(list(request.links))
        inherited = {
            folder for known in self._store.manifests() for folder in known.link_directories
        }
        return Manifest(
            set_id=self._store.new_id(),
            previous=good,
            files=owned(request),
            directories=request.directories,
            links=dict(request.links),
            link_directories=tuple(sorted(missing | inherited)),
        )

    def _build(self, snapshot: Snapshot, plan: Plan, manifest: Manifest) -> Verdict:
        """Stage and judge the new set; in check mode, and after a failure, it goes again."""
        store, request = self._store, self._request
        folder = store.staging(manifest.set_id)
        if self._check_mode and _io.lookup(store.sets) is None:
            # A host without any set yet: use the same file system, and leave no trace.
            parent = posixpath.dirname(store.base)
            folder = f"{parent}/.koprogo-{store.name}-{manifest.set_id}.staging"
        keep = False
        try:
            with _io.no_space(
                f"stage the new configuration of {store.name} (the old one stays in use)",
                posixpath.dirname(folder),
                needed=bytes_needed(request),
            ):
                stage(
                    request,
                    plan,
                    snapshot,
                    self._owners,
                    manifest,
                    source=store.folder(snapshot.active or ""),
                    folder=folder,
                    durable=not self._check_mode,
                )
                verdict = judge(
                    request,
                    self._runner,
                    folder=folder,
                    final=store.link,
                    lenient=self._check_mode,
                )
            keep = not self._check_mode
            return verdict
        finally:
            if not keep:
                _io.remove_tree(folder)

    # Undo

    def _roll_back(self, mark: Pending, failed: Manifest, error: KoprogoError) -> RolledBackError:
        """Return to the last good set; the returned error tells both stories."""
        store, service = self._store, self._service
        journal = last_words(service, error)
        complete = mark.good is not None and _io.lookup(store.folder(mark.good)) is not None
        good = store.manifest(mark.good)
        problem: KoprogoError | None = None
        outcome = Outcome()
        if mark.good == mark.target:
            return _nothing_to_restore(store, service, error, journal)
        # The older mark serves as well, should the disk be full.
        with contextlib.suppress(OSError):
            store.mark(replace(mark, target=mark.good, undo=True))
        try:
            if good is not None:
                make_links(store, good)
            store.activate(mark.good if complete else None)
            # Without its manifest nobody knows the old set's links: leave them all.
            remove_links(store, keep=failed if complete and good is None else good)
            outcome = service.restore(
                mark.action,
                daemon_reload=mark.daemon_reload,
                found=None if complete else mark.found,
            )
        except OSError as second:
            problem = _readable(second)
        except KoprogoError as second:
            problem = second
        if problem is None:
            store.unmark()
            store.clean(store.leftovers())
        restored = (
            f"The previous configuration (set {mark.good}) was restored"
            if complete
            else "There was no previous configuration: what was put there was removed again"
        )
        well = _well(service, outcome, complete=complete)
        ending = f", but now: {problem.message}" if problem else well
        tail = "\n".join(journal[-8:])
        return RolledBackError(
            f"{store.name}: the new configuration was put in place, but {error.message}. "
            f"{restored}{ending}." + (f"\nLast words of {service.unit}:\n{tail}" if tail else ""),
            rolled_back=True,
            restored=problem is None,
            set=mark.good if complete else None,
            failed_set=failed.set_id,
            action=mark.action,
            journal=journal,
            probes=error.evidence.get("probes", []),
            probes_after_rollback=problem.evidence.get("probes", []) if problem else outcome.probes,
        )

    # Absent

    def _absent(self) -> Report:
        store = self._store
        snapshot = look(store, self._request)
        nothing = Request(name=self._request.name, state="absent", owner="0", group="0")
        links = [path for path in self._request.links if is_ours(path, store)]
        plan = make_plan(nothing, store, snapshot, self._owners, systemd=self._systemd)
        pending = store.pending()
        owed, daemon_reload = _owed(pending, snapshot)
        plan = replace(
            plan,
            directories=(),
            action=strongest(plan.action, owed),
            daemon_reload=plan.daemon_reload or daemon_reload,
            links=replace(plan.links, removed=tuple(sorted({*plan.links.removed, *links}))),
        )
        traces = _io.lookup(store.link) is not None or bool(store.manifests())
        report = Report(
            changed=traces or plan.any or pending is not None,
            location=store.link,
            plan=plan,
            notes=self._owners.notes,
        )
        if not report.changed:
            return report
        if self._want_diff:
            report.diff = make_diff(nothing, store, snapshot, plan)
        kept = plan.kept_foreign()
        report.kept = f"{store.link}.kept-{snapshot.active}" if kept else None
        if self._check_mode:
            report.outcome = Outcome(action=self._service.predict(plan.action))
            return report
        self._service.observe()
        with _io.no_space("note the removal", store.sets, needed=2 * 4096):
            if report.kept:
                self._keep(snapshot, plan, report.kept)
            store.mark(
                Pending(
                    target=None,
                    good=snapshot.active,
                    action=plan.action,
                    daemon_reload=plan.daemon_reload,
                )
            )
        # The links lead nowhere from here on, which is as good as gone.
        store.activate(None)
        for path in links:
            remove_link(path, store)
        remove_links(store, keep=None)
        report.outcome, words = self._service.let_go(plan.action, daemon_reload=plan.daemon_reload)
        store.forget()
        if words:
            report.warnings.append(
                f"{store.name}: what was ours is removed, but without it the service is not well: {words}"
            )
        return report

    def _keep(self, snapshot: Snapshot, plan: Plan, folder: str) -> None:
        """Carry files that are not ours to a directory of their own."""
        _io.remove_tree(folder)
        _io.make_directory(folder, mode=0o700)
        source = self._store.folder(snapshot.active or "")
        for path, entry in plan.foreign.items():
            if entry.kind == "directory":
                _io.make_directory(f"{folder}/{path}", mode=entry.mode)
                _io.set_owner_and_mode(
                    f"{folder}/{path}", mode=entry.mode, uid=entry.uid, gid=entry.gid
                )
            else:
                _io.link_or_copy(f"{source}/{path}", f"{folder}/{path}", entry)


def _owed(pending: Pending | None, snapshot: Snapshot) -> tuple[str, bool]:
    """Return the action and the daemon-reload that an interrupted run still owes the service."""
    if pending is None:
        return "none", False
    if not pending.undo and pending.target is not None and pending.target != snapshot.active:
        # Killed before the exchange: the service never saw anything of it, and is owed what it
        # was owed before. Links may have been made, though, and systemd may look at them.
        return pending.owed, pending.daemon_reload
    return pending.action, pending.daemon_reload


def _readable(error: OSError) -> KoprogoError:
    """Say what the system refused, and where."""
    where = f" at {error.filename}" if error.filename else ""
    return KoprogoError(f"the system refused{where}: {error.strerror or error}")


def _nothing_to_restore(
    store: Store, service: Service, error: KoprogoError, journal: list[str]
) -> RolledBackError:
    """The set in use is the last one known to work; only the service is not well."""
    tail = "\n".join(journal[-8:])
    return RolledBackError(
        f"{store.name}: the configuration is in place as before, but {error.message}."
        + (f"\nLast words of {service.unit}:\n{tail}" if tail else ""),
        rolled_back=False,
        journal=journal,
        probes=error.evidence.get("probes", []),
    )


def _well(service: Service, outcome: Outcome, *, complete: bool) -> str:
    if outcome.action in ("reload", "restart") and service.unit and complete:
        return f" and {service.unit} is well again"
    return f" and {service.unit} left as it was found" if service.unit else ""
