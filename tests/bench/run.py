"""Measures noctule's data path, training and evaluation beside their peers, in one run. See README.md."""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import measure

HERE = Path(__file__).parent
LAST_DAY = date(2026, 6, 28)
END = LAST_DAY + timedelta(days=1)
REGULARISATION, UNOBSERVED_WEIGHT = 0.03, 0.1


class Bench:
    def __init__(self, given, folder):
        self.given, self.folder, self.shop = given, folder, folder / "shop"
        self.results = {}
        self.config = folder / "config.yaml"

    def noctule(self, pipeline, state, **params):
        """One run of a pipeline. Returns its document's steps by name, and its cost."""
        store = self.folder / state
        (store / "store").mkdir(parents=True, exist_ok=True)
        settings = {"state": str(store), "store": str(store / "store"), "cpu": self.given.threads}
        self.config.write_text(json.dumps(settings))
        command = [self.given.noctule, "run", HERE / pipeline, "--at", END.isoformat(), "--config", self.config, "--json"]
        for name, value in {"source": self.shop, **params}.items():
            command += ["--param", f"{name}={value}"]
        printed, cost = measure.run(command)
        return {step["step"]: step for step in json.loads(printed)["steps"]}, cost

    def output(self, state, step):
        return self.folder / state / "store" / Path(step["manifest"]).parent

    def peer(self, job, **settings):
        """One job of peers.py in a process of its own."""
        threads = str(self.given.threads)
        environment = {name: threads for name in ("OMP_NUM_THREADS", "IRSPACK_NUM_THREADS_DEFAULT")}
        # The peers run their own threads; BLAS threads under them would only spin.
        environment["OPENBLAS_NUM_THREADS"] = "1"
        arguments = json.dumps({"threads": self.given.threads, **settings}, default=str)
        printed, cost = measure.run([sys.executable, HERE / "peers.py", job, arguments], environment)
        return json.loads(printed), cost

    def has(self, package):
        if importlib.util.find_spec(package) is None:
            print(f"  {package} is not installed: left out")
            return False
        return True

    def note(self, job, who, seconds, peak, **more):
        """Keeps a figure and prints it, with the ratio to noctule's of the same job."""
        figures = self.results.setdefault(job, {})
        figures[who] = {"cpu_seconds": seconds, "peak_mib": peak, **more}
        own = figures["noctule"]["cpu_seconds"]
        ratio = f"{seconds / own:6.2f} x noctule" if who != "noctule" and own > 0 else ""
        tail = "  ".join(f"{name} {value:.4f}" for name, value in more.items())
        print(f"  {who:<22}{seconds:9.3f} CPU s {peak:8.0f} MiB  {ratio:<16} {tail}", flush=True)

    def write_shop(self):
        given = self.given
        per_day = max(100, round(given.events / 28))
        users = given.users or max(200, given.events // 200)
        items = given.items or max(200, given.events // 200)
        source = f"demo://shop?users={users}&items={items}&events={per_day}"
        measure.run(
            [given.noctule, "demo", self.shop, "--source", source, "--days", "28", "--until", LAST_DAY.isoformat()]
        )
        print(f"{source}, {given.threads} threads")

    def data(self):
        print("\n1. extract, filter (active users), dedup (keep latest), to Parquet")
        own, theirs, has_duckdb = [], [], self.has("duckdb")
        answer = self.folder / "duckdb.parquet"
        for repeat in range(self.given.repeats):
            steps, cost = self.noctule("data.yaml", f"data-{repeat}")
            own.append((cost.cpu_seconds, cost.peak_mib))
            if has_duckdb:
                said, cost = self.peer("data", source=self.shop, end=END, to=answer)
                theirs.append((said["cpu_seconds"], cost.peak_mib))
        print(f"  {steps['events']['metrics']['rows_read']:.0f} events read")
        self.note("data", "noctule", *medians(own))
        if not has_duckdb:
            return
        self.note("data", "duckdb", *medians(theirs))
        ours = self.output(f"data-{self.given.repeats - 1}", steps["unique"]) / "main" / "*.parquet"
        said, _ = self.peer("checksum", tables=[ours, answer])
        self.compare(*said["tables"])

    def compare(self, ours, theirs):
        if ours[:2] != theirs[:2]:
            sys.exit(f"the answers differ: (rows, checksum) {ours[:2]} of noctule, {theirs[:2]} of duckdb")
        same = "the same" if ours[2] == theirs[2] else "not the same: events at the same microsecond"
        print(f"  {ours[0]} rows; user, item and time have the same checksum; the other columns {same}")

    def train(self, state, factors, epochs):
        return self.noctule(
            "model.yaml", state, factors=factors, epochs=epochs,
            regularisation=REGULARISATION, unobserved_weight=UNOBSERVED_WEIGHT,
        )  # fmt: skip

    def ials(self):
        print("\n2. ials: CPU seconds per epoch, and NDCG@20 by numpy")
        few, many = 1, self.given.epochs
        steps, _ = self.train("model", 8, 1)
        self.split = self.output("model", steps["split"])
        said, _ = self.peer("shape", split=self.split)
        print(f"  {said['pairs']} pairs of {said['users']} users and {said['items']} items; "
              f"{said['test_users']} test users; epochs {few} and {many}")  # fmt: skip
        for factors in self.given.factors:
            print(f"  {factors} factors")
            job = f"ials-{factors}"
            _, short = self.train("model", factors, few)
            self.steps, long = self.train("model", factors, many)
            model = self.output("model", self.steps["model"]) / "main"
            seconds = (long.cpu_seconds - short.cpu_seconds) / (many - few)
            self.note(job, "noctule", seconds, long.peak_mib, **self.quality(model))
            for package, name in (("irspack", "irspack Cholesky"), ("implicit", "implicit Cholesky")):
                if not self.has(package):
                    continue
                to = self.folder / f"{package}-{factors}.npz"
                said, cost = self.peer(
                    package, split=self.split, factors=factors, epochs=[few, many], to=to,
                    regularisation=REGULARISATION, unobserved_weight=UNOBSERVED_WEIGHT,
                )  # fmt: skip
                self.note(job, name, said["cpu_seconds"], cost.peak_mib, **self.quality(to))

    def quality(self, model):
        said, _ = self.peer("ndcg", split=self.split, model=model, users=self.given.quality_users)
        return {"ndcg@20": said["ndcg@20"]}

    def evaluation(self):
        factors = self.given.factors[0]
        print(f"\n3. full ranking of all test users, {factors} factors, top 20, seen items left out")
        settings = {
            "factors": factors, "epochs": self.given.epochs,
            "regularisation": REGULARISATION, "unobserved_weight": UNOBSERVED_WEIGHT,
        }  # fmt: skip
        own, theirs, has_implicit = [], [], self.has("implicit")
        for repeat in range(self.given.repeats):
            # Another cap on the users, far above their number, makes the step run again, and no other.
            steps, cost = self.noctule("model.yaml", "model", users=10_000_000 + repeat, **settings)
            _, idle = self.noctule("model.yaml", "model", users=10_000_000 + repeat, **settings)
            own.append((cost.cpu_seconds - idle.cpu_seconds, cost.peak_mib))
            if has_implicit:
                model = self.output("model", steps["model"]) / "main"
                said, cost = self.peer("recommend", split=self.split, model=model, factors=factors)
                theirs.append((said["cpu_seconds"], cost.peak_mib))
        self.note("evaluation", "noctule", *medians(own), **{"ndcg@20": steps["quality"]["metrics"]["model/ndcg@20"]})
        if has_implicit:
            self.note("evaluation", "implicit recommend", *medians(theirs), **{"ndcg@20": said["ndcg@20"]})


def medians(pairs):
    return [statistics.median(column) for column in zip(*pairs)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noctule", required=True, type=Path, help="the built program")
    parser.add_argument("--events", type=int, default=10_000_000, help="events in the log, about")
    parser.add_argument("--users", type=int, help="without it, one for 200 events")
    parser.add_argument("--items", type=int, help="without it, one for 200 events")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--epochs", type=int, default=8, help="of the long training; the short one has 1")
    parser.add_argument("--repeats", type=int, default=3, help="of data path and evaluation; the median counts")
    parser.add_argument("--quality-users", type=int, default=20_000, help="users whose NDCG numpy computes, at most")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    given.noctule = given.noctule.resolve()
    if not os.access(given.noctule, os.X_OK):
        parser.error(f"{given.noctule} is no program: build it with `cargo build --profile dist -p noctule`")
    if given.epochs < 2 or given.repeats < 1:
        parser.error("--epochs must be 2 or more, and --repeats 1 or more")
    return given


def main():
    given = arguments()
    measure.adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="noctule-bench-") as folder:
        bench = Bench(given, Path(folder))
        try:
            bench.write_shop()
            bench.data()
            bench.ials()
            bench.evaluation()
        except measure.CommandFailed as failure:
            sys.exit(str(failure))
    if given.json:
        given.json.write_text(json.dumps(bench.results, indent=2) + "\n")


if __name__ == "__main__":
    main()
