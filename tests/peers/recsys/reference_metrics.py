"""Ranks and measures by sorting, and by ranx where its definition is the same.

Reads {"cases": [{"scores": [number or null], "candidates": [bool], "seen": [item], "truth": [item]}],
"cutoffs": [k]} from stdin: one user per case, one score per item, null for an item that the model
does not know. Writes, per case, {"own": {metric: value or null}, "ranx": {metric: value}}; null is "no
value". The same scores rank by rising item.
"""

import json
import os
import sys

import numpy as np

# The cases are small: compiling ranx takes a hundred times longer than running it.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")


def ranking(case):
    """The unseen candidates that the model knows, best first, and those that it doesn't know."""
    scores, seen = case["scores"], set(case["seen"])
    unseen = [i for i, yes in enumerate(case["candidates"]) if yes and i not in seen]
    known = sorted((i for i in unseen if scores[i] is not None), key=lambda i: (-scores[i], i))
    return known, [i for i in unseen if scores[i] is None]


def auc(case, known, unknown):
    """Every pair (truth item, other candidate) looked at; a tie counts one half."""
    lowest = min((case["scores"][i] for i in known), default=0.0) - 1.0
    score = {i: case["scores"][i] for i in known} | {i: lowest for i in unknown}
    truth = set(case["truth"])
    positive = np.array([score[i] for i in score if i in truth], dtype=np.float64)
    negative = np.array([score[i] for i in score if i not in truth], dtype=np.float64)
    if len(positive) == 0 or len(negative) == 0:
        return None
    difference = positive[:, None] - negative[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def own(case, cutoffs):
    known, unknown = ranking(case)
    truth = set(case["truth"])
    values = {"auc": auc(case, known, unknown)}
    gains = np.array([i in truth for i in known], dtype=np.float64)
    discounts = 1.0 / np.log2(np.arange(2, max(len(gains), len(truth), *cutoffs) + 2))
    first = np.flatnonzero(gains)
    values["mrr"] = (1.0 / (first[0] + 1) if len(first) else 0.0) if truth else None
    for k in cutoffs:
        top = gains[:k]
        names = ("ndcg", "recall", "recall_capped", "precision", "map", "mrr", "hit")
        if not truth:
            values.update({f"{name}@{k}": None for name in names})
            continue
        hits = top.sum()
        ideal = discounts[: min(k, len(truth))].sum()
        precisions = np.cumsum(top) / np.arange(1, len(top) + 1)
        first = np.flatnonzero(top)
        values[f"ndcg@{k}"] = float((top * discounts[: len(top)]).sum() / ideal)
        values[f"recall@{k}"] = float(hits / len(truth))
        values[f"recall_capped@{k}"] = float(hits / min(k, len(truth)))
        values[f"precision@{k}"] = float(hits / k)
        values[f"map@{k}"] = float((precisions * top).sum() / len(truth))
        values[f"mrr@{k}"] = 1.0 / (first[0] + 1) if len(first) else 0.0
        values[f"hit@{k}"] = 1.0 if hits else 0.0
    return values


def with_ranx(cases, cutoffs):
    """ranx has no value for users without truth or list, and orders ties in its own way, so it gets our order."""
    import ranx

    words = {"ndcg": "ndcg", "recall": "recall", "precision": "precision", "map": "map", "mrr": "mrr", "hit": "hit_rate"}
    values = [{} for _ in cases]
    qrels, run = {}, {}
    for number, case in enumerate(cases):
        known, _ = ranking(case)
        if case["truth"] and known:
            qrels[f"u{number}"] = {str(i): 1 for i in case["truth"]}
            run[f"u{number}"] = {str(i): float(len(known) - place) for place, i in enumerate(known)}
    metrics = [f"{word}@{k}" for word in words.values() for k in cutoffs] + ["mrr"]
    scored = ranx.Run(run)
    ranx.evaluate(ranx.Qrels(qrels), scored, metrics, return_mean=False)
    ours = {word: name for name, word in words.items()}
    for metric in metrics:
        word, at, k = metric.partition("@")
        for user, value in scored.scores[metric].items():
            values[int(user[1:])][ours[word] + at + k] = float(value)
    return values


def main():
    given = json.load(sys.stdin)
    cases, cutoffs = given["cases"], given["cutoffs"]
    peers = with_ranx(cases, cutoffs)
    json.dump([{"own": own(case, cutoffs), "ranx": peer} for case, peer in zip(cases, peers)], sys.stdout)


if __name__ == "__main__":
    main()
