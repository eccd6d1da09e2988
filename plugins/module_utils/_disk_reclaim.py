# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Free a file system by policies, least valuable first, until a target is reached."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._disk_docker import (
    Docker,
    DockerPolicy,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    FilePolicy,
    Freed,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_files import Files
from ansible_collections.koprogo.observability.plugins.module_utils._disk_keep import kept_inodes
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import (
    OpenFiles,
    open_files,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import Places
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import (
    Amount,
    Space,
    Target,
    space_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import (
    Ledger,
    RefusedError,
    action_of,
)

__all__ = ["APT_LOCK", "Reclaim", "Step", "notes_on", "quick", "reclaim"]

APT_LOCK = "/var/cache/apt/archives/lock"
# The ledger with its reserve, the incident's record and its line in the log, and their folders.
_NOTES = Amount(bytes=512 * 1024, inodes=16)
# Quarters of a second.
_PATIENCE = 12


@dataclass(kw_only=True)
class Step:
    """One policy's part. C(status): C(planned), C(not_needed), C(nothing), C(skipped), C(refused), C(done),
    C(failed)."""

    worker: Files | Docker
    predicted: Freed = field(default_factory=Freed)
    freed: Freed = field(default_factory=Freed)
    status: str = "not_needed"
    reason: str = ""

    @property
    def destructive(self) -> bool:
        """Whether what goes cannot be made again."""
        return self.worker.policy.destructive

    def as_dict(self) -> dict[str, Any]:
        """The step as a module returns it."""
        worker = self.worker
        if isinstance(worker, Files):
            evidence = worker.evidence()
        else:
            evidence = {"deleted": worker.removed, "truncated": [], "skipped": worker.skipped}
        return {
            "policy": worker.policy.name,
            "kind": worker.policy.kind,
            "reversibility": "destructive" if self.destructive else "lossy",
            "status": self.status,
            "reason": self.reason,
            "exact": isinstance(worker, Files),
            "capped": self.predicted.capped,
            "predicted": self.predicted.as_dict(),
            "freed": self.freed.as_dict(),
            **evidence,
        }


class Reclaim:
    """Plans and carries out policies on the file system of ``path``."""

    def __init__(
        self,
        policies: Sequence[FilePolicy | DockerPolicy],
        *,
        path: str,
        target: Target,
        places: Places,
        now: float,
        notes: Amount | None = None,
        opened: Callable[[], OpenFiles] = open_files,
        space: Callable[[str], Space] = space_of,
        apt_lock: str = APT_LOCK,
    ) -> None:
        """``now`` is a Unix time in seconds, ``notes`` what will be written down on this file system."""
        self.path = path
        self.target = target
        self._space, self._opened, self._apt_lock = space, opened, apt_lock
        self.before = space(path)
        self.missing = target.missing(self.before)
        # Of what lacks, so much more: else the notes would use up what was freed for the target.
        self.spare = Amount(
            bytes=notes.bytes if notes and self.missing.bytes else 0,
            inodes=notes.inodes if notes and self.missing.inodes else 0,
        )
        found = opened() if self.missing else OpenFiles()
        self.opened = found
        self.steps: list[Step] = []
        files: list[Files] = []
        for policy in policies:
            worker: Files | Docker
            if isinstance(policy, FilePolicy):
                worker = Files(
                    policy=policy,
                    places=places,
                    device=self.before.device,
                    now=now,
                    opened=found,
                    earlier=tuple(files),
                )
                files.append(worker)
            else:
                worker = Docker(policy=policy, device=self.before.device)
            self.steps.append(Step(worker=worker))
        if self.missing:
            kept = kept_inodes(files)
            for each in files:
                each.kept = kept

    @property
    def lossy(self) -> list[Step]:
        """Planned steps that a machine may take."""
        return [step for step in self.steps if step.status == "planned" and not step.destructive]

    @property
    def destructive(self) -> list[Step]:
        """Planned steps that only a human may take."""
        return [step for step in self.steps if step.status == "planned" and step.destructive]

    def plan(self) -> Amount:
        """Predict all steps; return what they free together. Changes nothing."""
        left, total = self.missing + self.spare, Amount()
        with quick():
            for step in self.steps:
                # Nothing that cannot be made again goes for the sake of notes.
                need = left - self.spare if step.destructive else left
                if not need:
                    continue
                self._plan(step, need)
                left, total = left - step.predicted.amount, total + step.predicted.amount
        return total

    def _plan(self, step: Step, left: Amount) -> None:
        try:
            if isinstance(step.worker, Files):
                step.predicted = step.worker.plan(left)
            else:
                step.reason = step.worker.why_not()
                if step.reason:
                    step.status = "skipped"
                    return
                step.predicted = step.worker.plan()
        except KoprogoError as error:
            step.status, step.reason = "failed", error.message
            return
        freed = step.predicted
        step.status = "planned" if freed.files or freed.bytes else "nothing"

    def run(self, steps: Sequence[Step]) -> None:
        """Carry out planned steps until the target is reached."""
        for step in steps:
            spare = None if step.destructive else self.spare
            missing = self.target.missing(self._space(self.path), spare=spare)
            if not missing:
                step.status = "not_needed"
                continue
            try:
                with self._alone(step), quick():
                    self._carry_out(step, missing)
                step.status = "done"
            except (KoprogoError, OSError) as error:
                step.status, step.reason = "failed", str(error)

    def _carry_out(self, step: Step, missing: Amount) -> None:
        worker = step.worker
        if not isinstance(worker, Files):
            worker.execute(step.freed, self.reached)
            return
        opened = self._opened()
        if step.destructive:
            self._plan_less(step, worker, missing, opened)
        worker.execute(opened, step.freed)

    @staticmethod
    def _plan_less(step: Step, worker: Files, missing: Amount, opened: OpenFiles) -> None:
        """Choose anew for what still lacks: others may have freed more than was predicted of them.

        Nothing that was not announced goes for that.
        """
        announced, before = step.predicted, (worker.choice, worker.truncations)
        worker.opened = opened
        need = Amount(
            bytes=min(missing.bytes, announced.bytes), inodes=min(missing.inodes, announced.inodes)
        )
        now = worker.plan(need)
        if now.bytes > announced.bytes or now.files > announced.files:
            worker.choice, worker.truncations = before

    @contextlib.contextmanager
    def _alone(self, step: Step) -> Iterator[None]:
        """Keep apt from using its cache meanwhile, as apt itself does."""
        descriptor = -1
        try:
            if step.worker.policy.kind == "apt_cache":
                with contextlib.suppress(FileNotFoundError):
                    descriptor = os.open(self._apt_lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except OSError as error:
                        raise KoprogoError("apt is running and uses its cache") from error
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def reached(self) -> bool:
        """Whether the target is reached now."""
        return not self.target.missing(self._space(self.path))

    def settle(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait a moment for those who follow the journal to let go of what was deleted of it."""
        if any(step.worker.policy.kind == "journal" and step.freed.files for step in self.steps):
            for _try in range(_PATIENCE):
                if self.reached():
                    break
                sleep(0.25)

    def result(self) -> dict[str, Any]:
        """What a module returns of it."""
        after = self._space(self.path)
        predicted = sum((step.predicted.amount for step in self.steps), start=Amount())
        freed = sum((step.freed.amount for step in self.steps), start=Amount())
        return {
            "file_system": self.path,
            "before": self.before.as_dict(),
            "after": after.as_dict(),
            "missing": self.missing.as_dict(),
            "predicted": predicted.as_dict(),
            "freed": freed.as_dict(),
            "target_reached": not self.target.missing(after),
            "open_files_complete": self.opened.complete,
            "policies": [step.as_dict() for step in self.steps],
        }


def notes_on(path: str, ledger: str) -> Amount:
    """What a remediation writes down on a path's file system: nothing where its ledger is on another one."""
    folder = os.path.dirname(os.path.abspath(ledger))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return _NOTES if os.stat(folder).st_dev == os.stat(path).st_dev else Amount()


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Nothing here makes cycles, and looking for them costs a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def reclaim(
    work: Reclaim, ledger: Ledger, params: Mapping[str, Any], *, check: bool
) -> dict[str, Any]:
    """Plan, pass the guard, act; return the module's result.

    What is lossy and what is destructive are two actions with limits of their own. A refusal of the
    destructive one leaves what the first did; RefusedError if nothing was allowed.
    """
    work.plan()
    guards: list[dict[str, Any]] = []
    refusals: list[RefusedError] = []
    changed = False
    for reversibility in ("lossy", "destructive"):
        steps = work.lossy if reversibility == "lossy" else work.destructive
        if not steps or (not check and work.reached()):
            continue
        if guards and not guards[-1]["allowed"]:
            # What is worth the least comes first, or nothing does.
            _mark(steps, "skipped", f"what may go before was refused: {guards[-1]['reason']}")
            continue
        action = action_of(
            params, name=f"disk_reclaim:{reversibility}", reversibility=reversibility
        )
        seen = {
            "before": work.before.as_dict(),
            "missing": work.missing.as_dict(),
            "predicted": {step.worker.policy.name: step.predicted.as_dict() for step in steps},
        }
        evidence = params.get("evidence_sha256") or seen
        if check:
            guard = ledger.judge(action, evidence=evidence)
            if not guard["allowed"]:
                _mark(steps, "refused", str(guard["reason"]))
            guards.append(guard)
            changed = changed or guard["allowed"]
            continue
        prediction = sum((step.predicted.amount for step in steps), start=Amount())
        try:
            with ledger.remediation(
                action, evidence=evidence, prediction=prediction.as_dict()
            ) as run:
                work.run(steps)
                work.settle()
                freed = sum((step.freed.amount for step in steps), start=Amount())
                run.end("resolved" if work.reached() else "not_resolved", result=freed.as_dict())
                changed = changed or bool(freed)
            guards.append(run.guard)
        except RefusedError as error:
            guards.append(error.evidence["guard"])
            _mark(steps, "refused", str(guards[-1]["reason"]))
            refusals.append(error)
    if refusals and len(refusals) == len(guards):
        raise refusals[0]
    result = {**work.result(), "changed": changed, "guards": guards}
    rows = result["policies"]
    amount = "predicted" if check else "freed"
    result["diff"] = {
        "before": "",
        "after": "".join(
            f"{row['policy']}: {row[amount]['files']} files, {row[amount]['bytes']} bytes\n"
            for row in rows
            if row[amount]["files"] or row[amount]["bytes"]
        ),
    }
    return result


def _mark(steps: Sequence[Step], status: str, reason: str) -> None:
    for step in steps:
        step.status, step.reason = status, reason
