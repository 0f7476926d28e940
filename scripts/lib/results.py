"""results.py LOG LABEL — meson's testlog.json as lines "LABEL passed|failed|skipped name seconds"."""
import json
import sys

log, label = sys.argv[1:]
words = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}
with open(log, encoding="utf-8") as f:
    for line in f:
        t = json.loads(line)
        name = t["name"].split(" / ")[-1].replace(" ", "_")
        verdict = words.get(t["result"], "failed")
        if verdict == "skipped":
            why = (t.get("stdout") or "").strip().splitlines()
            print(f"{label}: {name} skipped: {why[-1] if why else 'no reason given'}", file=sys.stderr)
        print(label, verdict, name, f"{t['duration']:.1f}")
