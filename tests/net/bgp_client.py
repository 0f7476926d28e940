"""bgp_client.py — requests one after the other while the route to a VIP moves.

  bgp_client.py URL VIP          until requests fail for half a second

Writes one line of JSON: moved (when the route to just the VIP went, or null), before and after (requests begun before and after
that), under_way (of the former, when it went: beside the others a transfer of half a second is made again and again),
failed_before, served_after_ms (how long after it a request was still answered).  "ready" on stderr after 50 answers.
"""
import json
import subprocess
import sys
import threading
import time
import urllib.request

url, vip = sys.argv[1:]
moved = None


def watch():
    global moved
    with subprocess.Popen(["ip", "monitor", "route"], stdout=subprocess.PIPE, text=True) as p:
        for line in p.stdout:
            words = line.split()
            if words[:1] == ["Deleted"] and words[1].removesuffix("/32") == vip and moved is None:
                moved = time.monotonic()
                p.kill()
                return


def request(slow):
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url + ("blob" if slow else ""), timeout=10) as answer:
            good = answer.status == 200
            while answer.read(300000 if slow else 100000):
                time.sleep(0.05 if slow else 0)
            return begun, time.monotonic(), good
    except OSError:
        return begun, time.monotonic(), False


def slowly():
    while not over:
        transfers.append(request(True))


over = False
done, transfers = [], []
threading.Thread(target=watch, daemon=True).start()
slow = threading.Thread(target=slowly)
slow.start()
failing = None  # since when: who was only kept from asking goes on
while failing is None or time.monotonic() - failing < 0.5:
    done.append(request(False))
    failing = None if done[-1][2] else failing or done[-1][0]
    if len(done) == 50:
        print("ready", file=sys.stderr, flush=True)
    time.sleep(0.005)
over = True
slow.join()
everything = done + transfers
before = [d for d in everything if moved is None or d[0] < moved]
after = [d for d in everything if moved is not None and d[0] >= moved]
good_after = [e for b, e, g in after if g]
print(json.dumps({
    "moved": moved,
    "before": len(before),
    "under_way": sum(d[1] > moved for d in before) if moved else 0,
    "after": len(after),
    "failed_before": sum(not g for b, e, g in before),
    "served_after_ms": round((max(good_after) - moved) * 1000) if good_after else 0,
}))
