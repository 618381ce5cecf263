"""The tables of rules together."""

from __future__ import annotations

from collections.abc import Sequence

from .algebra import ALGEBRA
from .bounds import BOUNDS
from .choices import CHOICES
from .moves import MOVES
from .one_hot import SUMS, UPDATES
from .pieces import ADDITIONS, PLACES
from .powers import EXACT_POWERS, POWERS
from .rewriting import Rule, Rules
from .stability import EXPANSIONS, STABILITY


def merged(*tables: Rules) -> Rules:
    """All rules of several tables, those of the first before the others."""
    names = dict.fromkeys(name for table in tables for name in table)
    result: dict[str, Sequence[Rule]] = {}
    for name in names:
        result[name] = [rule for table in tables for rule in table.get(name, ())]
    return result


#: Rules that change no bit of a result.
EXACT_RULES: Rules = merged(ALGEBRA, MOVES, BOUNDS, CHOICES, UPDATES, EXACT_POWERS, EXPANSIONS)
#: With those that change results by rounding, or where they would overflow.
ALL_RULES: Rules = merged(STABILITY, SUMS, PLACES, EXACT_RULES, ADDITIONS, POWERS)
