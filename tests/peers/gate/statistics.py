"""The gate's statistics, computed again with numpy and scipy.

Reads a JSON object from standard input: `cases`, a list of {candidate, other}, two columns of numbers each, and
`points` and `shares`, at which to evaluate the normal distribution and its quantile. Prints the answers as JSON.
"""

import json
import sys

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
REPLICATES = 20_000


def ratio(x, y):
    """Ratio of means and its delta-method standard error, from the covariance matrix."""
    covariance = np.cov(x, y, ddof=1)
    estimate = x.mean() / y.mean()
    gradient = np.array([1 / y.mean(), -x.mean() / y.mean() ** 2])
    return estimate, np.sqrt(gradient @ covariance @ gradient / len(x))


def percentile_t(x, y, estimate, error):
    random = np.random.default_rng(20_260)
    statistics = []
    for _ in range(REPLICATES):
        drawn = random.integers(0, len(x), len(x))
        again, its_error = ratio(x[drawn], y[drawn])
        statistics.append((again - estimate) / its_error)
    low, high = np.quantile(statistics, [1 - CONFIDENCE, CONFIDENCE])
    return [estimate - high * error, estimate - low * error]


def answer(case):
    x, y = np.array(case["candidate"]), np.array(case["other"])
    estimate, error = ratio(x, y)
    z = stats.norm.ppf(CONFIDENCE)
    resolvable = (z + stats.norm.ppf(0.8)) * error
    return {
        "estimate": estimate,
        "standard_error": error,
        "skewness": stats.skew(x - estimate * y),
        "normal": [estimate - z * error, estimate + z * error],
        "bootstrap": percentile_t(x, y, estimate, error),
        "resolvable": resolvable,
        "users_needed": int(np.ceil(len(x) * (resolvable / 0.01) ** 2)),
        "pass_if_equal": stats.norm.cdf(0.01 / error - z),
    }


def main():
    asked = json.load(sys.stdin)
    json.dump(
        {
            "cases": [answer(case) for case in asked["cases"]],
            "distribution": stats.norm.cdf(asked["points"]).tolist(),
            "quantile": stats.norm.ppf(asked["shares"]).tolist(),
        },
        sys.stdout,
    )


main()
