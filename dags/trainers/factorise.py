"""A trainer of one's own: factors by the eigenvectors of item co-occurrence, in the documented model layout.

Run by `dags/byo-trainer.yaml` as a `shell` step. Reads the interactions from the folder $NOCTULE_INPUT_TRAIN and writes
the model into the folder $NOCTULE_OUTPUT (docs/guides/model-layout.md). Needs numpy and pyarrow; the model itself is
written by hand, to show how little a layout asks for.

With R the user-item matrix scaled by 1/sqrt(degree) on both sides and V its d strongest right singular vectors, the
item factors are V and the user factors R V: the ranking of PureSVD (Cremonesi, Koren, Turrin 2010) on the scaled matrix.
"""

import csv
import datetime
import json
import os
import pathlib
import sys

try:
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError as missing:
    # Exit code 78: configuration. Trying again cannot help.
    print(f"{missing}: install numpy and pyarrow (tests/peers/requirements.txt)", file=sys.stderr)
    sys.exit(78)

FACTORS = int(os.environ.get("FACTORS", "32"))
PASSES = 8


def read_interactions(folder):
    users, items, latest = [], [], []
    for path in sorted(pathlib.Path(folder).rglob("*.parquet")):
        table = pq.ParquetFile(path).read()
        users.append(table["user"].to_numpy())
        items.append(table["item"].to_numpy())
        if "time" in table.column_names:
            latest.append(pc.max(table["time"]).as_py())
    if not users:
        print(f"no Parquet file in {folder}", file=sys.stderr)
        sys.exit(65)
    latest = [moment for moment in latest if moment is not None]
    return np.concatenate(users), np.concatenate(items), max(latest, default=None)


def products(rows, columns, weights, table, size):
    """The product of the sparse matrix (rows, columns, weights) and a dense table."""
    result = np.zeros((size, table.shape[1]))
    np.add.at(result, rows, weights[:, None] * table[columns])
    return result


def factorise(users, items, n_users, n_items, seed):
    pairs = np.unique(np.stack([users, items]), axis=1)
    u, i = pairs
    weights = 1 / np.sqrt(np.bincount(u, minlength=n_users)[u] * np.bincount(i, minlength=n_items)[i])
    d = min(FACTORS, n_items, n_users)
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(n_items, d)))[0]
    for _ in range(PASSES):
        projected = products(u, i, weights, basis, n_users)
        basis = np.linalg.qr(products(i, u, weights, projected, n_items))[0]
    return products(u, i, weights, basis, n_users), basis


def write_ids(path, name, ids, counts=None):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name] if counts is None else [name, "count"])
        writer.writerows([x] if counts is None else [x, counts[at]] for at, x in enumerate(ids))


def write_factors(path, table, fingerprint):
    table = np.ascontiguousarray(table, dtype="<f4")
    header = json.dumps({
        "__metadata__": {"fingerprint": fingerprint},
        "factors": {"dtype": "F32", "shape": list(table.shape), "data_offsets": [0, table.nbytes]},
    }).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header + table.tobytes())


def id_type(ids):
    return "integer" if np.issubdtype(ids.dtype, np.integer) else "text"


def main():
    output = pathlib.Path(os.environ["NOCTULE_OUTPUT"])
    fingerprint = os.environ["NOCTULE_FINGERPRINT"]
    user_of, item_of, until = read_interactions(os.environ["NOCTULE_INPUT_TRAIN"])
    user_ids, users = np.unique(user_of, return_inverse=True)
    item_ids, items = np.unique(item_of, return_inverse=True)
    print(f"{len(users)} rows, {len(user_ids)} users, {len(item_ids)} items")
    user_factors, item_factors = factorise(
        users, items, len(user_ids), len(item_ids), int(os.environ["NOCTULE_SEED"]))

    write_ids(output / "users.csv", "user", user_ids)
    write_ids(output / "items.csv", "item", item_ids, np.bincount(items))
    write_factors(output / "users.safetensors", user_factors, fingerprint)
    write_factors(output / "items.safetensors", item_factors, fingerprint)
    if until is not None:
        until = until.astimezone(datetime.timezone.utc).isoformat()
    card = {
        "layout": 1,
        "form": "factors",
        "algorithm": "scaled PureSVD",
        "fingerprint": fingerprint,
        "parameters": {"factors": item_factors.shape[1], "passes": PASSES},
        "data": {"rows": len(users), "users": len(user_ids), "items": len(item_ids), "until": until},
        "ids": {"user": id_type(user_ids), "item": id_type(item_ids)},
    }
    (output / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    energy = float((user_factors ** 2).sum())
    pathlib.Path(os.environ["NOCTULE_METRICS"]).write_text(json.dumps({"energy": energy, "rows": len(users)}))


if __name__ == "__main__":
    main()
