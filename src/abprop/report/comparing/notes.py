"""What a comparison says in sentences: which is best, by how much, and why to doubt it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abprop.diagnostics import GOOD_RHAT
from abprop.report.comparing.columns import HELD_OUT, ON, Numbers, comparable
from abprop.report.comparing.groups import Group, unlike
from abprop.report.comparing.spread import Spread
from abprop.say import counted

FEW = 3  # names in a sentence


def notes(groups: Sequence[Group], numbers: Sequence[Numbers]) -> list[str]:
    """The sentences.

    Args:
        groups: as they stand, best first.
        numbers: their columns.
    """
    said = [*_verdict(groups, numbers), *_unlike(groups, numbers), *_alone(groups)]
    return [*said, *_held_out(groups, numbers), *_unfinished(groups), *_stuck(groups)]


def _verdict(groups: Sequence[Group], numbers: Sequence[Numbers]) -> Iterator[str]:
    """By the first column that has a best."""
    judged = next((one for one in numbers if "best" in one.marks), None)
    if judged is None:
        return
    title, best = judged.column.title, judged.marks.index("best")
    found = judged.found[best]
    assert found is not None
    told = f"Best by {title}: {groups[best].name}, {found.said}."
    ties = [groups[i].name for i, mark in enumerate(judged.marks) if mark == "tie"]
    if ties:
        told += f" Not to be told from it by the spread over seeds: {_listed(ties)}."
    every = zip(groups, judged.found, judged.marks, strict=True)
    rest = [(group, one) for group, one, mark in every if one is not None and not mark]
    if rest:
        told += _next(found, *min(rest, key=lambda pair: abs(pair[1].mean - found.mean)))
    yield told


def _next(best: Spread, group: Group, one: Spread) -> str:
    ratio = one.mean / best.mean if best.mean else 1.0
    much = f"{ratio:.1f} times as much" if ratio >= 2 else f"{abs(ratio - 1):.0%} "
    much += "" if ratio >= 2 else "more" if ratio >= 1 else "less"
    why = ", which is more than the spread" if best.n > 1 or one.n > 1 else ""
    return f" Next: {group.name}, {much}{why}."


def _unlike(groups: Sequence[Group], numbers: Sequence[Numbers]) -> Iterator[str]:
    named = [one.column for one in numbers if one.column.key.startswith(ON)]
    if any(not comparable(groups, column) for column in named):
        yield "Runs see SOURCE in other sizes or units, so their errors on it are not comparable."
    keys = unlike(groups)
    if keys:
        yield (
            f"The data differ ({', '.join(keys)}), so held-out errors are not comparable and none "
            "of them is marked."
        )


def _alone(groups: Sequence[Group]) -> Iterator[str]:
    alone = [group.name for group in groups if len(group.runs) == 1]
    if alone:
        what = "what another seed would change is not known"
        one = "One run each" if len(alone) == len(groups) else f"One run of {_listed(alone)}"
        yield f"{one}: {what}; two or more seeds tell."


def _held_out(groups: Sequence[Group], numbers: Sequence[Numbers]) -> Iterator[str]:
    several = len({run.recipe.seed for group in groups for run in group.runs}) > 1
    if several and any(one.column.key.startswith(HELD_OUT) for one in numbers):
        yield "Each seed holds out other examples, and part of the spread is theirs."


def _unfinished(groups: Sequence[Group]) -> Iterator[str]:
    early = [run for group in groups for run in group.runs if not run.complete]
    if early:
        few = [f"{run.folder.name} ({run.done} of {run.recipe.train.iterations})" for run in early]
        yield f"{counted(len(early), 'run has', 'runs have')} not ended: {_listed(few)}."


def _stuck(groups: Sequence[Group]) -> Iterator[str]:
    slow = []
    for group in groups:
        rhat = group.spread("rhat")
        if rhat is not None and rhat.mean > GOOD_RHAT:
            slow.append(f"{group.name} ({rhat.mean:.2f})")
    if slow:
        yield f"R-hat above {GOOD_RHAT}, so chains do not mix yet: {_listed(slow)}."


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:FEW])
    return ", ".join(shown) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
