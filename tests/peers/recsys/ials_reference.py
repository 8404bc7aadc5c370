"""Implicit ALS in numpy, double precision, row by row, as the objective is written in the paper.

Reads {"n_users", "n_items", "users", "items", "weights" (or null), "factors", "epochs",
"regularisation", "nu", "unobserved_weight", "start" (item factors)} from stdin and writes {"users", "items",
"losses": [[observed, unobserved, regularisation] per epoch]}.
"""

import json
import sys

import numpy as np


def solve_side(rows, columns, weights, n_rows, other, a0, penalty):
    """Every row's (a0 V'V + sum c v v' + lambda I) w = sum c v."""
    d = other.shape[1]
    gram = a0 * other.T @ other
    solved = np.zeros((n_rows, d))
    for row in range(n_rows):
        own = rows == row
        v, c = other[columns[own]], weights[own]
        solved[row] = np.linalg.solve(gram + (v * c[:, None]).T @ v + penalty[row] * np.eye(d), c @ v)
    return solved


def main():
    given = json.load(sys.stdin)
    users, items = np.array(given["users"], dtype=int), np.array(given["items"], dtype=int)
    weights = np.ones(len(users)) if given["weights"] is None else np.array(given["weights"], dtype=np.float64)
    n_users, n_items = given["n_users"], given["n_items"]
    a0 = given["unobserved_weight"]

    def penalties(rows, n_rows, n_columns):
        frequency = np.bincount(rows, minlength=n_rows) + a0 * n_columns
        return given["regularisation"] * frequency ** given["nu"]

    user_penalty, item_penalty = penalties(users, n_users, n_items), penalties(items, n_items, n_users)
    h = np.array(given["start"], dtype=np.float64)
    losses = []
    for _ in range(given["epochs"]):
        w = solve_side(users, items, weights, n_users, h, a0, user_penalty)
        h = solve_side(items, users, weights, n_items, w, a0, item_penalty)
        predicted = w @ h.T
        observed = float(weights @ (predicted[users, items] - 1.0) ** 2)
        unobserved = float(a0 * (predicted**2).sum())
        penalty = float(user_penalty @ (w**2).sum(1) + item_penalty @ (h**2).sum(1))
        losses.append([observed, unobserved, penalty])
    json.dump({"users": w.tolist(), "items": h.tolist(), "losses": losses}, sys.stdout)


if __name__ == "__main__":
    main()
