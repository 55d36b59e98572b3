#!/usr/bin/env python3
"""critest-report.py REPORT.json SUMMARY.md

Summarise a Ginkgo JSON report of critest as Markdown: the counts, then every
spec that failed or was skipped with its reason, then every spec with its time.
Prints the names of the failed specs and one line of counts."""
import collections
import json
import sys


def one_line(text):
    return " ".join((text or "").split()).replace("|", "\\|")


def load(path):
    with open(path, encoding="utf-8") as f:
        suites = json.load(f)
    for suite in suites:
        for s in suite.get("SpecReports") or []:
            kind, state = s.get("LeafNodeType"), s["State"]
            if kind != "It" and state == "passed":
                continue  # a BeforeSuite counts only when it fails
            name = " ".join((s.get("ContainerHierarchyTexts") or []) + [s.get("LeafNodeText") or kind])
            # critest's own -skip leaves the benchmarks out: they are no validation
            if "benchmark about" in name:
                continue
            why = one_line((s.get("Failure") or {}).get("Message"))
            yield state, one_line(name), s.get("RunTime", 0) / 1e9, why


def main(report, summary):
    specs = sorted(load(report), key=lambda s: (s[0], s[1]))
    # A spec that the focus leaves out is skipped with no reason given.
    ran = [s for s in specs if s[0] != "skipped" or s[3]]
    specs = ran or specs
    n = collections.Counter(s[0] for s in specs)
    failed = sum(v for k, v in n.items() if k not in ("passed", "skipped", "pending"))
    with open(summary, "w", encoding="utf-8") as out:
        print("| specs | passed | failed | skipped | pending | seconds |\n|---|---|---|---|---|---|", file=out)
        print(f"| {len(specs)} | {n['passed']} | {failed} | {n['skipped']} | {n['pending']} | {sum(s[2] for s in specs):.0f} |", file=out)
        for state in sorted(set(n) - {"passed"}):
            print(f"\n## {state}\n", file=out)
            for s in specs:
                if s[0] == state:
                    print(f"- {s[1]}\n  - {s[3][:600] or '(no reason given)'}", file=out)
        print("\n## all\n\n| state | seconds | spec |\n|---|---|---|", file=out)
        for state, name, secs, _ in specs:
            print(f"| {state} | {secs:.2f} | {name} |", file=out)
    for state, name, _, why in specs:
        if state not in ("passed", "skipped", "pending"):
            print(f"{state}: {name}\n    {why[:200]}")
    print(f"critest: {n['passed']} passed, {failed} failed, {n['skipped']} skipped")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
