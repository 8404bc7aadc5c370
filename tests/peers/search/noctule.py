"""The real binary: one run per setting."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from table import words

HERE = Path(__file__).parent
DAGS = HERE.parents[2] / "dags"

GATE_SPOKE = (0, 3, 5)
"""Exit codes of a run whose gate said pass, fail or inconclusive: each has a test table."""


@dataclass(frozen=True)
class Setting:
    """Settings of a training. `regularisation` is on the scale of its `nu`."""

    factors: int
    nu: float
    regularisation: float
    unobserved_weight: float
    epochs: int | None = None

    def document(self):
        return {name: value for name, value in asdict(self).items() if value is not None}


class Noctule:
    def __init__(self, binary, source, protocol, state):
        self.binary, self.source, self.protocol = binary, source, protocol
        self.store = state / "store"
        self.store.mkdir(parents=True, exist_ok=True)
        self.config = state / "config.yaml"
        self.config.write_text(json.dumps({"state": str(state), "store": str(self.store)}))

    def run(self, pipeline, params, codes):
        """Runs a pipeline. Returns its steps by name, each with its metrics."""
        command = [self.binary, "run", pipeline, "--config", self.config, "--json"]
        for name, value in {"source": self.source, **params}.items():
            command += ["--param", f"{name}={value}"]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode not in codes:
            sys.exit(f"{' '.join(map(str, command))}\nended with {ended.returncode}: {ended.stderr.strip()}")
        return {step["step"]: step for step in json.loads(ended.stdout)["steps"]}

    def figures(self, steps):
        """Mean and standard error over the scored users, by model and metric, as `evaluate` wrote them."""
        report = self.store / Path(steps["quality"]["manifest"]).parent / "report" / "evaluation.json"
        return {model["reference"]: model["figures"] for model in json.loads(report.read_text())["models"]}

    def validate(self, setting, epochs):
        """Trains on the training rows less the validation rows, and scores the latter."""
        params = {
            **setting.document(),
            "epochs": epochs,
            "by": self.protocol.by,
            "cut": self.protocol.cut,
            "metric": self.protocol.metric,
        }
        steps = self.run(HERE / "validation.yaml", params, codes=(0,))
        figures = {model: of[self.protocol.metric] for model, of in self.figures(steps).items()}
        row = {
            "setting": setting.document(),
            "epoch": int(steps["model"]["metrics"]["best_epoch"]),
            **figures["model"],
            "popularity": figures["popularity"]["mean"],
        }
        print(f"  {words(setting.document())}: epoch {row['epoch']}, {self.protocol.metric} {row['mean']:.4f}", file=sys.stderr)
        return row

    def test(self, setting):
        """Trains on all training rows and scores the test rows: the pipeline that ships for the protocol."""
        steps = self.run(DAGS / self.protocol.pipeline, setting.document(), GATE_SPOKE)
        names = ("train_rows", "train_users", "train_items", "test_rows", "test_users")
        counts = {name: int(steps["split"]["metrics"][name]) for name in names}
        return {"counts": counts, "models": self.figures(steps)}
