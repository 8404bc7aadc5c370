"""Chooses settings of `ials` on validation rows, then reads the test table once. See ../README.md.

Only the standard library.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from noctule import Noctule, Setting
from plan import FULL, QUICK, search
from protocols import PROTOCOLS, REFERENCE
from table import print_test, print_validation

HERE = Path(__file__).parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noctule", required=True, type=Path, help="the binary")
    parser.add_argument("--source", required=True, help="the ratings: a file with user_id, movie_id, rating, timestamp")
    parser.add_argument("--data", required=True, help="what to call the data: `ml-1m` has a reference to compare with")
    parser.add_argument("--protocol", required=True, choices=PROTOCOLS)
    parser.add_argument("--quick", action="store_true", help="a toy search, to see that the command works")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the answer is kept")
    parser.add_argument("--state", type=Path, help="where artifacts are kept; a second search reuses them")
    parser.add_argument("--read-again", action="store_true", help="read the test table although it was read before")
    return parser.parse_args()


def answer(given, noctule):
    """The whole search, then the test of what it picked."""
    rows = search(QUICK if given.quick else FULL, noctule.validate)
    best = rows[0]
    print_validation(noctule.protocol, rows)
    picked = Setting(**{**best["setting"], "epochs": best["epoch"]})
    return {
        "data": given.data,
        "protocol": given.protocol,
        "validation": rows,
        "picked": picked.document(),
        "test": noctule.test(picked),
    }


def written(found):
    """As JSON, a setting tried to a line."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in found["validation"])
    parts = [f" {json.dumps(name)}: {json.dumps(of)}" for name, of in found.items() if name != "validation"]
    return "{\n" + ",\n".join([*parts, f' "validation": [\n{rows}\n ]']) + "\n}\n"


def main():
    given = arguments()
    protocol = PROTOCOLS[given.protocol]
    kept = given.results / f"{given.data}-{given.protocol}.json"
    if kept.exists() and not given.read_again:
        print(f"The test table was read before, so nothing is run; this is what {kept.name} keeps of it.\n")
        found = json.loads(kept.read_text())
        print_validation(protocol, found["validation"])
    else:
        with tempfile.TemporaryDirectory() as folder:
            state = (given.state or Path(folder)).resolve()
            found = answer(given, Noctule(given.noctule.resolve(), given.source, protocol, state))
        kept.parent.mkdir(parents=True, exist_ok=True)
        half = kept.with_suffix(".half")
        half.write_text(written(found))
        os.replace(half, kept)
    print_test(protocol, found, REFERENCE.get((given.data, given.protocol), {}))


if __name__ == "__main__":
    sys.exit(main())
