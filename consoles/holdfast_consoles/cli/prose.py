"""A migration's story in sentences, for one who sees it for the first time: what it does and why, what was decided and asked."""

from collections.abc import Mapping, Sequence

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.desired_state import DesiredState
from holdfast_schemas.states import Outcome

from .figures import clock
from .liveness import liveness
from .recovering import how_far
from .situation import Situation
from .status import OBSERVED, unreported

NEWEST = 5

BECAME: dict[Outcome, str] = {
    "effective": "It took effect{at}{why}.",
    "noted": "It was noted, and nothing was done{why}.",
    "already": "There was nothing left to do{why}.",
    "superseded": "It gave way{why}.",
    "refused": "It was refused{why}.",
    "expired": "It came too late{why}.",
    "failed": "It failed{why}.",
    "held": "It is held, and needs a person{why}.",
    "requested": "The workers were told{at}; not all have answered yet{why}.",
    "acknowledged": "The workers have acknowledged it{at}{left}{why}.",
    "unacknowledged": "Not every worker has answered in time{why}.",
}
ENDED = {
    "completed": "has completed",
    "rolled_back": "was rolled back",
    "failed": "has failed",
    "lost": "is lost: no worker came back to it",
    "refused": "was refused",
}
ADVICE = {
    "stuck": "See what its workers wait for: a lock, a slow statement, a server that does not answer.",
    "dead": "Nothing moves until a worker is started; when none comes, the ledger ends the run as lost.",
}


def sentences(
    one: Situation, decisions: Sequence[Decision], outcomes: Mapping[str, ActionRecorded],
    began: Mapping[str, ActionRecorded], newest: int = NEWEST,
) -> list[str]:  # fmt: skip
    """The story, a sentence or two a line; of decisions and requests only the ``newest`` are told.

    ``outcomes`` and ``began`` hold each cause's newest and first record.
    """
    told = [_stands(one), *_lives(one)]
    first = max(len(decisions) - newest, 0)
    if first:
        told.append(f"{first} earlier decisions are in holdfast history {one.migration_id}.")
    by_id = {decision.decision_id: decision for decision in decisions}
    told += [_decided(decision, outcomes.get(decision.decision_id), by_id) for decision in decisions[first:]]
    if not decisions:
        told.append("No trigger has decided anything.")
    asked = [action for action in outcomes.values() if action.cause_kind == "request"]
    if len(asked) > newest:
        told.append(f"{len(asked) - newest} earlier requests are in holdfast history {one.migration_id}.")
    told += [_asked(began[action.cause_id], action) for action in asked[-newest:]]
    if one.figures is not None and not one.over:
        quiet = [t.verdict for t in one.figures.triggers if t.reading in ("too_few", "absent", "missing", "no_data")]
        told += [f"Not judged at the moment: {verdict}." for verdict in quiet]
    return told


def _stands(one: Situation) -> str:
    """What it does, and who wants it so."""
    wanted = one.desired
    if one.over and one.figures is not None and one.recovery is None:
        closed = "; the run is closed" if wanted is None and not one.observed_only else ""
        observed = f" {OBSERVED}: what triggers decided was noted, and not done." if one.observed_only else ""
        return f"{one.name} {ENDED.get(one.figures.outcome or '', 'has finished')}{closed}.{observed}"
    if one.observed_only:
        return f"{one.name} is {one.state()}. {OBSERVED}: what triggers decide is noted, and not done."
    if wanted is None:
        return f"{one.name} is {one.state()}; the ledger has said nothing of this run."
    if wanted.desired == "none":
        waits = wanted.answers is not None and wanted.answers.result == "waiting"
        return f"{one.name} has not begun" + (
            f": it waits, {wanted.answers.reason}." if waits and wanted.answers else "."
        )
    return f"{one.name} is {one.state()}. {_wish(one, wanted)}"


def _wish(one: Situation, wanted: DesiredState) -> str:
    who, when, why = _who(wanted.set_by), clock(wanted.occurred_at), f"({wanted.reason})"
    if one.overridden_until is not None:
        until = clock(one.overridden_until)
        return (
            f"{who} lets it go on whatever its triggers say, from {when} until {until} {why}. holdfast pause ends that."
        )
    if wanted.desired == "pause":
        ends = "until it is resumed" if wanted.until is None else f"until {clock(wanted.until)}, unless resumed before"
        if one.figures is None or one.figures.state != "paused":
            return f"{who} asked for a pause at {when} {why}, {ends}."
        return f"{who} paused it at {when} {why}. It stays paused {ends}."
    if wanted.desired == "rollback":
        if one.recovery is not None:
            return f"{who} had it rolled back at {when} {why}. From the log: {how_far(one.recovery)}."
        undone = one.figures.rows_undone if one.figures is not None else 0
        return f"{who} had it rolled back at {when} {why}. {undone:,} rows are taken back so far."
    return f"{who} let it run at {when} {why}."


def _lives(one: Situation) -> list[str]:
    """Whether it is alive and guarded; of what is over, neither."""
    if one.over:
        return []
    found = liveness(one)
    told = []
    if one.figures is None:
        if one.desired is not None and one.desired.desired != "none":
            told.append(_capital(_whole(unreported(one))))
    elif found.verdict == "unknown":
        told.append(f"Whether it is alive is {_whole(found.sentence)}")
    else:
        told.append(_capital(_whole(found.sentence)))
    told += [ADVICE[found.verdict]] if found.verdict in ADVICE else []
    return told if one.observed_only else [*told, _whole(f"Guard: {one.guard.sentence()}")]


def _decided(decision: Decision, outcome: ActionRecorded | None, known: Mapping[str, Decision]) -> str:
    again = f", for the same breach (repeat {decision.reassertion})" if decision.reassertion else ""
    what = (
        f"At {clock(decision.decided_at)} {decision.trigger_id} decided {decision.action}{again}: {decision.verdict}."
    )
    if outcome is None:
        return f"{what} Nothing was recorded of it yet: is holdfast actuator running?"
    severer = known.get(decision.superseded_by or "")
    if outcome.outcome == "superseded" and severer is not None:
        return f"{what} It gave way to {severer.trigger_id}, which is severer."
    return f"{what} {_became(outcome, (decision.verdict,))}"


def _asked(request: ActionRecorded, outcome: ActionRecorded) -> str:
    """A request's first record carries the person's own reason, unless it was refused at once."""
    reason = "" if request.reason in ("", outcome.reason) else f": {request.reason}"
    a = "an" if request.kind == "override" else "a"
    at = clock(request.occurred_at)
    return f"At {at} {request.actor} (asserted) asked for {a} {request.kind}{reason}. {_became(outcome, ())}"


def _became(outcome: ActionRecorded, said: tuple[str, ...]) -> str:
    """The outcome in words; a reason that was ``said`` before is not said again."""
    return BECAME[outcome.outcome].format(
        at="" if outcome.epoch is None else f" at #{outcome.epoch}",
        left="" if not outcome.steps_left else f"; {outcome.steps_left:,} steps of the undo are left",
        why=f" ({outcome.reason})" if outcome.reason and outcome.reason not in said else "",
    )


def _who(set_by: str) -> str:
    """Who set it, as a sentence begins; a person's name stays as it was given."""
    kind, _, name = set_by.partition(":")
    if kind == "trigger":
        return f"The trigger {name}"
    return "The ledger" if set_by == "ledger" else f"{set_by} (asserted)"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _whole(sentence: str) -> str:
    return sentence if sentence.endswith("?") else f"{sentence}."
