"""What people see: Markdown, to be pasted into docs/results.md."""

SHOWN = 10


def words(setting):
    said = [
        f"{setting['factors']} factors",
        f"nu {setting['nu']:g}",
        f"regularisation {setting['regularisation']:g}",
        f"unobserved weight {setting['unobserved_weight']:g}",
    ]
    if "epochs" in setting:
        said.append(f"{setting['epochs']} epochs")
    return ", ".join(said)


def print_validation(protocol, rows):
    first = rows[0]
    print(f"{len(rows)} settings on {first['users']} validation users; popularity has {first['popularity']:.4f}.\n")
    print(f"| factors | nu | regularisation | unobserved weight | best epoch | {protocol.metric} | SE |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows[:SHOWN]:
        of = row["setting"]
        cells = [f"{of[name]:g}" for name in ("factors", "nu", "regularisation", "unobserved_weight")]
        cells += [str(row["epoch"]), f"{row['mean']:.4f}", f"{row['standard_error']:.4f}"]
        print(f"| {' | '.join(cells)} |")
    print()


def print_test(protocol, found, reference):
    test = found["test"]
    print(f"Picked: {words(found['picked'])}. The test table, {test['counts']['test_users']} test users:\n")
    print(f"| model | {' | '.join(protocol.metrics)} |")
    print(f"|---|{'---:|' * len(protocol.metrics)}")
    for model in ("popularity", "model"):
        of = test["models"][model]
        cells = [f"{of[metric]['mean']:.4f} ± {of[metric]['standard_error']:.4f}" for metric in protocol.metrics]
        print(f"| {'picked' if model == 'model' else model} | {' | '.join(cells)} |")
    for name, (mean, error) in reference.items():
        print(f"| reference: {name} | {mean:.4f} ± {error:.4f} |{' |' * (len(protocol.metrics) - 1)}")
    if reference:
        print(f"\n{verdict(test['models']['model'][protocol.metric]['mean'], reference)}")


def verdict(reached, reference):
    """The test of the promise: not below the reference's best row by more than that row's standard error."""
    name, (mean, error) = max(reference.items(), key=lambda row: row[1][0])
    against = f"the best row of the reference ({name}, {mean:.4f} ± {error:.4f})"
    if reached >= mean:
        return f"{reached:.4f} lies above {against}."
    if reached >= mean - error:
        return f"{reached:.4f} lies below {against}, by less than one standard error."
    return f"{reached:.4f} lies below {against} by more than one standard error."
