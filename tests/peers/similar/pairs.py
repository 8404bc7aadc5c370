"""Near-duplicate pairs by definition, for `crates/recsys/tests/similar_peer.rs`.

Reads {"items": [[field, ...], ...], "jaccard": t, "ngram": n, "datasketch": bool} from standard
input and answers {"folded": [...], "pairs": [[a, b, jaccard], ...], "vetoed": count,
"proposed": [[a, b], ...]}: every pair of items at or above the threshold that does not differ in
a number, how many do differ, and the pairs that datasketch's MinHash proposes (if asked).
"""

import json
import re
import sys
import unicodedata


def kept(c):
    """The character, a space for a gap, or nothing."""
    if c.isascii():
        return c if c.isalnum() else " "
    if "\ufe00" <= c <= "\ufe0f" or unicodedata.category(c) == "Cf":
        return ""
    category = unicodedata.category(c)
    if category == "So":
        return c
    return " " if category[0] in "PZS" or category == "Cc" else c


def fold(field):
    lower = "".join(c.lower() for c in unicodedata.normalize("NFKC", field))
    return " ".join("".join(map(kept, unicodedata.normalize("NFKC", lower))).split(" ")).strip()


def squeeze(text):
    return re.sub(" +", " ", text).strip()


ONES = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"]
ROMAN = {"x" * (n // 10) + ONES[n % 10]: n for n in range(1, 40)}


def numbers(field):
    found = []
    words = field.split()
    for place, word in enumerate(words):
        lone_ending = 0 < place == len(words) - 1
        if word in ROMAN and (len(word) > 1 or lone_ending):
            found.append(str(ROMAN[word]))
        else:
            found += [run.lstrip("0") or "0" for run in re.findall(r"\d+", word)]
    return found


def shingles(text, n):
    if len(text) < n:
        return {text} if text else set()
    return {text[k : k + n] for k in range(len(text) - n + 1)}


def proposals(sets):
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=125, params=(25, 5))
    proposed = set()
    for item, grams in enumerate(sets):
        if not grams:
            continue
        signature = MinHash(num_perm=125, seed=1)
        signature.update_batch([gram.encode() for gram in grams])
        proposed |= {(other, item) for other in index.query(signature)}
        index.insert(item, signature)
    return sorted(proposed)


def main():
    question = json.load(sys.stdin)
    fields = [[squeeze(fold(field)) for field in item] for item in question["items"]]
    folded = [" ".join(field for field in item if field) for item in fields]
    values = [sorted(sum((numbers(field) for field in item), [])) for item in fields]
    sets = [shingles(text, question["ngram"]) for text in folded]
    pairs, vetoed = [], 0
    for a in range(len(sets)):
        for b in range(a + 1, len(sets)):
            union = len(sets[a] | sets[b])
            jaccard = len(sets[a] & sets[b]) / union if union else 0.0
            if jaccard >= question["jaccard"] and union:
                if values[a] == values[b]:
                    pairs.append([a, b, jaccard])
                else:
                    vetoed += 1
    proposed = proposals(sets) if question["datasketch"] else []
    json.dump({"folded": folded, "pairs": pairs, "vetoed": vetoed, "proposed": proposed}, sys.stdout)


main()
