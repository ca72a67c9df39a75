"""What was lost or repeated, and how long nothing was heard after a kill. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.chaos.seen import STEPS_OF, Effect, Kill, RunSeen

#: What was on its way when the process was killed still arrives.
ON_ITS_WAY_SECONDS = 0.02

#: These take the runs that they execute with them, as do whole pods; all others are in the way of every run.
EXECUTOR = "runner"
PODS = ("pod", "parent")
#: Takes the runs of its pods with it, and is in the way of all others.
NODE = "node"


@dataclass
class Verdict:
    """`faults`: sentences about what must not be; empty when all went well."""

    faults: list[str] = field(default_factory=list)
    succeeded: int = 0
    steps: int = 0
    #: Executions of steps that had not finished when their process was killed, and were done again.
    begun_again: int = 0
    #: Seconds from each kill to the next event of each run that it hit, by victim.
    gaps: dict[str, list[float]] = field(default_factory=dict)


def judge(runs: Sequence[RunSeen], ledger: Mapping[str, Sequence[Effect]], kills: Sequence[Kill]) -> Verdict:
    """Compare what clients saw with what was executed."""
    verdict = Verdict()
    for run in runs:
        effects = ledger.get(run.run, ())
        if run.status != "success":
            verdict.faults.append(f"run {run.run} of {run.graph} is {run.status}, thread {run.thread}")
            continue
        verdict.succeeded += 1
        verdict.steps += len(STEPS_OF[run.graph])
        verdict.begun_again += len(effects) - len(STEPS_OF[run.graph])
        about = f"run {run.run} of {run.graph}"
        verdict.faults += [f"{about}: {fault}" for fault in (*_told(run), *_effects(run, effects))]
    verdict.gaps = gaps(runs, ledger, kills)
    return verdict


def _told(run: RunSeen) -> list[str]:
    faults = []
    numbers = [told.seq for told in run.told]
    if numbers != sorted(set(numbers)):
        faults.append("events came twice or out of order")
    steps = Counter(told.step for told in run.told if told.step)
    faults += [f"{step} was told {times} times" for step, times in steps.items() if times > 1]
    faults += [f"{step} was never told" for step in sorted(STEPS_OF[run.graph] - steps.keys())]
    return faults


def _effects(run: RunSeen, effects: Sequence[Effect]) -> list[str]:
    faults = []
    counted = Counter(step for step, _ in run.did)
    faults += [f"{step} counted {times} times" for step, times in counted.items() if times > 1]
    faults += [f"{step} is lost" for step in sorted(STEPS_OF[run.graph] - counted.keys())]
    known = {effect.effect: effect for effect in effects}
    first_seen: dict[str, float] = {}
    for effect in effects:
        first_seen.setdefault(effect.process, effect.began)
    for step, name in run.did:
        winner = known.get(name)
        if winner is None or winner.ended is None:
            faults.append(f"the effect of {step} is not in the ledger")
            continue
        for other in effects:
            # A process that was given up may still be in a step that another one has finished meanwhile: at least once.
            displaced = other.process != winner.process and first_seen[other.process] < winner.ended
            if other.step == step and other.began > winner.ended and not displaced:
                faults.append(f"{step} had finished and was done again")
    return faults


def gaps(
    runs: Sequence[RunSeen], ledger: Mapping[str, Sequence[Effect]], kills: Sequence[Kill]
) -> dict[str, list[float]]:
    """Seconds from each kill to the next event of every run that was on the victim, by victim."""
    found: dict[str, list[float]] = defaultdict(list)
    for kill in kills:
        for run in runs:
            gap = _gap(run, ledger.get(run.run, ()), kill)
            if gap is not None:
                found[kill.victim].append(gap)
    return dict(found)


def _gap(run: RunSeen, effects: Sequence[Effect], kill: Kill) -> float | None:
    begun = [effect for effect in effects if effect.began <= kill.at]
    if not begun or (run.ended_at is not None and run.ended_at <= kill.at):
        return None
    later = [told for told in run.told if told.at > kill.at]
    executed = begun[-1].host in (kill.hosts or {""}) and kill.pid in (0, begun[-1].pid)
    if kill.victim == EXECUTOR or (kill.hosts and kill.victim in PODS):
        if not executed:
            return None
    elif kill.victim != NODE:
        executed = False
    if executed:
        attempt = max((told.attempt for told in run.told if told.at <= kill.at), default=1)
        later = [told for told in later if told.attempt > attempt]
    else:
        later = [told for told in later if told.at > kill.at + ON_ITS_WAY_SECONDS]
    return later[0].at - kill.at if later else None
