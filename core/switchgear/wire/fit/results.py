"""Results of tools put to the calls that they answer: most servers want each call answered, once, right behind its turn."""

from collections.abc import Callable, Sequence
from typing import TypeVar

M = TypeVar("M")

NO_RESULT = "(no result)"
"""What stands for the result of a call that has none: it was interrupted, or its result was left out of the history."""

BEGINNING = "(the conversation begins with the answer)"
"""What the user says where the first turn is the model's and the target wants one of the user's before it."""


def paired(
    messages: Sequence[M],
    *,
    called: Callable[[M], Sequence[str]],
    answered: Callable[[M], str | None],
    nothing: Callable[[str], M],
    told: Callable[[M], M],
) -> tuple[list[M], bool]:
    """Return the messages in order, each turn's results right behind it, and whether anything had to be made up for that.

    called    the ids of the calls that a message makes, none for one that is no turn of the model's
    answered  the id of the call that a message answers, None for one that is no result; empty for one that does not say it,
              and then nothing is changed
    nothing   makes the result of a call that has none
    told      makes of a result that answers no call, or one that has a result, a message that says it

    What else was said between a turn and its results comes behind them.
    """
    answers = [answered(message) for message in messages]
    if "" in answers:
        return list(messages), False
    turns = {place: ids for place, message in enumerate(messages) if (ids := called(message))}
    open: dict[str, list[int]] = {}
    results: dict[int, list[M]] = {place: [] for place in turns}
    missing: dict[int, list[str]] = {place: list(ids) for place, ids in turns.items()}
    owned: set[int] = set()
    made_up = False
    for place, message in enumerate(messages):
        if place in turns:
            for made in turns[place]:
                open.setdefault(made, []).append(place)
        elif (id := answers[place]) is not None and open.get(id):
            turn = open[id].pop()
            missing[turn].remove(id)
            results[turn].append(message)
            owned.add(place)
    ordered: list[M] = []
    for place, message in enumerate(messages):
        if place in owned:
            continue
        if answers[place] is not None:
            made_up = True
            ordered.append(told(message))
            continue
        ordered.append(message)
        if place in turns:
            made_up |= bool(missing[place])
            ordered += [*results[place], *map(nothing, missing[place])]
    return ordered, made_up
