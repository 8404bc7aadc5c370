"""The peers' side, one job per process: `python peers.py JOB '{"settings": ...}'` prints one JSON document.

`cpu_seconds` is the work alone: imports, reading the pairs and writing factors are left out, to the peer's benefit.
"""

import contextlib
import json
import sys
import time
from pathlib import Path


def duckdb_session(threads):
    import duckdb

    session = duckdb.connect()
    session.execute(f"SET threads = {int(threads)}")
    session.execute("SET TimeZone = 'UTC'")
    return session


def data(given):
    """What data.yaml does, as one query. `arg_max_null` since `arg_max` would skip rows without a value."""
    session = duckdb_session(given["threads"])
    end = f"TIMESTAMPTZ '{given['end']} 00:00:00+00'"
    begun = time.process_time()
    session.execute(f"""
        COPY (
            WITH source AS (
                SELECT user_id AS "user", item_id AS item, ts AS time, event, watch_share AS value
                FROM read_parquet('{given['source']}/events/*/*.parquet', hive_partitioning = false)
                WHERE user_id IS NOT NULL AND item_id IS NOT NULL AND ts IS NOT NULL
                  AND (watch_share IS NULL OR isfinite(watch_share))
                  AND ts >= {end} - INTERVAL 28 DAY AND ts < {end}
            ), active AS (
                SELECT "user" FROM source WHERE time >= {end} - INTERVAL 10 DAY
                GROUP BY "user" HAVING count(DISTINCT item) >= 10
            )
            SELECT "user", item, max(time) AS time,
                   arg_max_null(event, time) AS event, arg_max_null(value, time) AS value
            FROM source WHERE "user" IN (SELECT "user" FROM active)
            GROUP BY "user", item
        ) TO '{given['to']}' (FORMAT parquet, COMPRESSION zstd)""")
    return {"cpu_seconds": time.process_time() - begun}


def checksum(given):
    """Of each table: rows, a checksum of (user, item, time), and one of all columns. The order of rows is nothing."""
    session = duckdb_session(given["threads"])
    key = '"user", item, epoch_us(time)'
    tables = []
    for files in given["tables"]:
        tables.append(
            session.execute(
                f"SELECT count(*), sum(hash({key}) % 4294967296), sum(hash({key}, event, value) % 4294967296) "
                f"FROM read_parquet('{files}', hive_partitioning = false)"
            ).fetchone()
        )
    return {"tables": [[int(number) for number in table] for table in tables]}


def pairs(folder):
    import numpy as np
    import pyarrow.parquet as parquet

    table = parquet.read_table(folder, columns=["user", "item"])
    return (np.asarray(table.column(name).to_numpy()) for name in ("user", "item"))


class Problem:
    """Noctule's own training and test pairs, with users and items numbered by rising id."""

    def __init__(self, split):
        import numpy as np
        import scipy.sparse

        users, items = pairs(Path(split) / "train")
        self.user_ids, rows = np.unique(users, return_inverse=True)
        self.item_ids, columns = np.unique(items, return_inverse=True)
        shape = (len(self.user_ids), len(self.item_ids))
        ones = np.ones(len(rows), dtype=np.float32)
        self.train = scipy.sparse.csr_matrix((ones, (rows, columns)), shape=shape)
        assert self.train.nnz == len(rows), "the training rows hold a pair twice"
        users, items = pairs(Path(split) / "test")
        rows, columns = np.searchsorted(self.user_ids, users), np.searchsorted(self.item_ids, items)
        ones = np.ones(len(rows), dtype=np.float32)
        self.test = scipy.sparse.csr_matrix((ones, (rows, columns)), shape=shape)
        self.test_users = np.unique(rows)


def shape(given):
    problem = Problem(given["split"])
    users, items = problem.train.shape
    return {
        "users": users, "items": items, "pairs": int(problem.train.nnz), "test_users": len(problem.test_users),
    }


def timed_epochs(given, train):
    """CPU seconds per epoch: the difference of a long and a short training, so that set-up falls out."""
    few, many = given["epochs"]
    costs = []
    for epochs in (few, many):
        begun = time.process_time()
        factors = train(epochs)
        costs.append(time.process_time() - begun)
    return (costs[1] - costs[0]) / (many - few), factors


def save(given, seconds, factors):
    import numpy as np

    np.savez(given["to"], users=factors[0], items=factors[1])
    return {"cpu_seconds": seconds}


def irspack(given):
    """The same objective, solved exactly."""
    from irspack.recommenders.ials import IALSRecommender

    problem = Problem(given["split"])

    def train(epochs):
        model = IALSRecommender(
            problem.train, n_components=given["factors"], alpha0=given["unobserved_weight"],
            reg=given["regularisation"], nu=1.0, init_std=0.1, loss_type="IALSPP", solver_type="CHOLESKY",
            n_threads=given["threads"], train_epochs=epochs,
        )  # fmt: skip
        model.learn()
        return model.get_user_embedding(), model.get_item_embedding()

    return save(given, *timed_epochs(given, train))


def implicit(given):
    """Hu, Koren and Volinsky's objective, as near as it comes: all weights divided by a0, so that unobserved pairs
    weigh 1, and one plain L2 penalty, the mean of ours over users and items."""
    from implicit.cpu.als import AlternatingLeastSquares

    problem = Problem(given["split"])
    (n_users, n_items), a0 = problem.train.shape, given["unobserved_weight"]
    frequencies = 2 * problem.train.nnz + 2 * a0 * n_users * n_items
    penalty = given["regularisation"] * frequencies / (n_users + n_items) / a0

    def train(epochs):
        model = AlternatingLeastSquares(
            factors=given["factors"], regularization=penalty, alpha=1 + 1 / a0, iterations=epochs, use_cg=False,
            num_threads=given["threads"], random_state=42,
        )  # fmt: skip
        model.fit(problem.train, show_progress=False)
        return model.user_factors, model.item_factors

    return save(given, *timed_epochs(given, train))


def load_factors(given, problem):
    """Of a peer's file, or of noctule's model folder; rows in the problem's order."""
    import numpy as np

    if given["model"].endswith(".npz"):
        stored = np.load(given["model"])
        return stored["users"], stored["items"]
    return [
        noctule_table(Path(given["model"]), name, column, ids)
        for name, column, ids in (("users", "user", problem.user_ids), ("items", "item", problem.item_ids))
    ]


def noctule_table(folder, name, column, wanted):
    import numpy as np
    import pyarrow.parquet as parquet

    raw = (folder / f"{name}.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    tensor = json.loads(raw[8:start])["factors"]
    assert tensor["dtype"] == "F32", f"{name}.safetensors holds {tensor['dtype']}"
    first, last = tensor["data_offsets"]
    table = np.frombuffer(raw[start + first : start + last], dtype="<f4").reshape(tensor["shape"])
    ids = parquet.read_table(folder / f"{name}.parquet", columns=[column]).column(0).to_numpy()
    order = np.argsort(ids)
    assert np.array_equal(ids[order], wanted), f"the model's {name} are not those of the training rows"
    return np.ascontiguousarray(table[order])


def ndcg_of_lists(lists, test):
    """Mean NDCG over users, of item numbers best first (-1: none) and a sparse matrix of truth, row by row."""
    import numpy as np

    discounts = 1 / np.log2(np.arange(2, lists.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    total = 0.0
    for row, best in enumerate(lists):
        truth = test.indices[test.indptr[row] : test.indptr[row + 1]]
        total += discounts[np.isin(best, truth)].sum() / ideal[min(len(truth), lists.shape[1])]
    return total / len(lists)


def ndcg(given):
    """NDCG@20 of factors by numpy: all items ranked, seen ones left out."""
    import numpy as np

    problem = Problem(given["split"])
    users, items = load_factors(given, problem)
    chosen = problem.test_users
    if len(chosen) > given["users"]:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, given["users"], replace=False))
    k, total = 20, 0.0
    for start in range(0, len(chosen), 500):
        batch = chosen[start : start + 500]
        scores = users[batch] @ items.T
        seen = problem.train[batch].tocoo()
        scores[seen.row, seen.col] = -np.inf
        best = np.argpartition(-scores, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        total += len(batch) * ndcg_of_lists(np.take_along_axis(best, order, axis=1), problem.test[batch])
    return {"ndcg@20": total / len(chosen), "users": len(chosen)}


def recommend(given):
    """The same model ranked by implicit, and one metric of the lists, for all test users."""
    import numpy as np
    from implicit.cpu.als import AlternatingLeastSquares

    problem = Problem(given["split"])
    model = AlternatingLeastSquares(factors=given["factors"], num_threads=given["threads"])
    model.user_factors, model.item_factors = load_factors(given, problem)
    begun = time.process_time()
    lists = []
    for start in range(0, len(problem.test_users), 2000):
        batch = problem.test_users[start : start + 2000]
        ids, _ = model.recommend(batch, problem.train[batch], N=20, filter_already_liked_items=True)
        lists.append(ids)
    ranked = time.process_time() - begun
    value = ndcg_of_lists(np.vstack(lists), problem.test[problem.test_users])
    return {"cpu_seconds": time.process_time() - begun, "ranking_cpu_seconds": ranked, "ndcg@20": value}


JOBS = {job.__name__: job for job in (data, checksum, shape, irspack, implicit, ndcg, recommend)}

if __name__ == "__main__":
    # irspack draws a progress bar on standard output.
    with contextlib.redirect_stdout(sys.stderr):
        document = JOBS[sys.argv[1]](json.loads(sys.argv[2]))
    print(json.dumps(document))
