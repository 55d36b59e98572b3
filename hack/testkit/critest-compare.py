#!/usr/bin/env python3
"""critest-compare.py PEER PEER.json OURS OURS.json OUT.md

Hold two Ginkgo JSON reports of critest against each other: the counts of both,
then every spec whose outcome is not the same, with the reason that each gave,
then every spec with its times. Exit status 1 when a spec that passes under PEER
does not pass under OURS, or is not there."""
import collections
import importlib
import sys

load = importlib.import_module("critest-report").load


def specs_of(path):
    """Outcome, seconds and reason by name of a spec. What a focus leaves out is skipped without a reason: not a spec of the run."""
    specs = {name: (state, secs, why) for state, name, secs, why in load(path)}
    return {name: s for name, s in specs.items() if s[0] != "skipped" or s[2]} or specs


def told(spec):
    if spec is None:
        return "not there"
    return f"{spec[0]}: {spec[2][:300]}" if spec[2] and spec[0] != "passed" else spec[0]


def main(peer, peer_json, ours, ours_json, out_path):
    theirs, mine = specs_of(peer_json), specs_of(ours_json)
    names = sorted(theirs.keys() | mine.keys())
    differing = [n for n in names if theirs.get(n, ("",))[0] != mine.get(n, ("",))[0]]
    lost = [n for n in differing if n in theirs and theirs[n][0] == "passed"]
    with open(out_path, "w", encoding="utf-8") as out:
        print("| under | specs | passed | failed | skipped | pending | seconds |\n|---|---|---|---|---|---|---|", file=out)
        for runtime, specs in ((peer, theirs), (ours, mine)):
            n = collections.Counter(s[0] for s in specs.values())
            failed = len(specs) - n["passed"] - n["skipped"] - n["pending"]
            secs = sum(s[1] for s in specs.values())
            print(f"| {runtime} | {len(specs)} | {n['passed']} | {failed} | {n['skipped']} | {n['pending']} | {secs:.0f} |", file=out)
        print(f"\n## Not the same: {len(differing)}, passed by {peer} alone: {len(lost)}\n", file=out)
        for n in differing:
            print(f"- {n}\n  - {peer}: {told(theirs.get(n))}\n  - {ours}: {told(mine.get(n))}", file=out)
        print(f"\n## All\n\n| {peer} | s | {ours} | s | spec |\n|---|---|---|---|---|", file=out)
        for n in names:
            cells = [f"{specs[n][0]} | {specs[n][1]:.2f}" if n in specs else "not there | " for specs in (theirs, mine)]
            print(f"| {' | '.join(cells)} | {n} |", file=out)
    for n in lost:
        print(f"passed under {peer} only: {n}\n    {told(mine.get(n))}")
    print(f"compared: {len(names)} specs, {len(differing)} not the same, {len(lost)} passed under {peer} alone")
    return 1 if lost else 0


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
