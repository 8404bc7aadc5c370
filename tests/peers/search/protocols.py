"""The two protocols, and what an independent program reached under them.

The reference: numpy in float64 with the objective of `ials`, and the package implicit 0.7.3, each with settings chosen
by a small search on validation rows; (mean, standard error over test users) of the protocol's metric.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    name: str
    pipeline: str
    """The pipeline under dags/ that trains on all training rows and scores the test rows."""
    by: str
    cut: str
    metric: str
    """What the search goes by."""
    metrics: tuple[str, ...]
    """What the test table shows."""


PROTOCOLS = {
    "P1": Protocol(
        "split by time", "movielens.yaml", "time", "10%", "ndcg@20", ("ndcg@20", "recall_capped@20", "recall@20")
    ),
    "P2": Protocol("leave the last one out", "movielens-last-out.yaml", "last", "last", "ndcg@10", ("ndcg@10", "hit@10")),
}

REFERENCE = {
    ("ml-1m", "P1"): {
        "popularity": (0.1721, 0.0060),
        "iALS, 64 factors": (0.1896, 0.0061),
        "iALS, 128 factors": (0.1936, 0.0062),
        "implicit, 64 factors": (0.1958, 0.0061),
        "implicit, 128 factors": (0.1960, 0.0061),
    },
    ("ml-1m", "P2"): {
        "popularity": (0.0193, 0.0014),
        "iALS, 64 factors": (0.0449, 0.0021),
        "iALS, 128 factors": (0.0442, 0.0020),
        "implicit, 64 factors": (0.0447, 0.0021),
        "implicit, 128 factors": (0.0462, 0.0021),
    },
}
