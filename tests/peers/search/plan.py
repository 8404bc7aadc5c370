"""Which settings are tried, in which order. Nothing here knows of a test row.

1. Grid, at the first number of factors: for each `nu`, every regularisation with every weight of the unobserved.
   With nu = 1 a user's penalty is the regularisation times (its rows + unobserved weight times all items), on these
   data about a thousand times as much as with nu = 0: hence two scales.
2. Walk, for each `nu`: from its best, regularisation and weight are halved and doubled in every combination, and the
   walk moves to the best of the nine until that is the middle, or for three moves.
3. Ladder: the best of all climbs to the next number of factors, with its regularisation and with twice that, as long
   as that gains.

The best is the highest mean of the protocol's metric on the validation rows; of equals the one tried first. Every
training runs all epochs, and counts with its best one.
"""

from dataclasses import dataclass, replace
from itertools import product

from noctule import Setting


@dataclass(frozen=True)
class Plan:
    regularisations: dict[int, tuple[float, ...]]
    """By `nu`."""
    unobserved_weights: tuple[float, ...]
    moves: int
    factors: tuple[int, ...]
    epochs: int


FULL = Plan({1: (0.003, 0.01, 0.03, 0.1), 0: (3, 10, 30, 100)}, (0.1, 0.3, 1), 3, (64, 128, 256, 512), 16)
QUICK = Plan({1: (0.03,), 0: (30,)}, (0.3,), 0, (4, 8), 2)
"""To see that the command works; what it picks means nothing."""


def neighbours(middle):
    return [
        replace(middle, regularisation=middle.regularisation * r, unobserved_weight=middle.unobserved_weight * w)
        for r, w in product((1, 0.5, 2), repeat=2)
    ]


def search(plan, validate):
    """Tries settings with `validate`. Returns a row for each, the best first."""
    tried = {}

    def best_of(settings):
        for setting in settings:
            if setting not in tried:
                tried[setting] = validate(setting, plan.epochs)
        return max(settings, key=lambda setting: tried[setting]["mean"])

    reached = []
    for nu, regularisations in plan.regularisations.items():
        best = best_of(
            [Setting(plan.factors[0], nu, r, w) for r, w in product(regularisations, plan.unobserved_weights)]
        )
        for _ in range(plan.moves):
            middle, best = best, best_of(neighbours(best))
            if best == middle:
                break
        reached.append(best)
    best = best_of(reached)
    for factors in plan.factors[1:]:
        higher = [replace(best, factors=factors, regularisation=best.regularisation * r) for r in (1, 2)]
        below, best = best, best_of([best, *higher])
        if best == below:
            break
    return sorted(tried.values(), key=lambda row: -row["mean"])
