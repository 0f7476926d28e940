"""ctl_cert.py SLUICECTL — what sluicectl says of certificates and ticket keys, before a daemon that answers as this file says.

Of each row: the arguments, what the daemon must be asked, what it answers, and what people read, to the letter.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

MAGIC = 0x49504153
SHOP = {"name": "shop", "added": "2026-11-21T22:19:08.110Z", "damaged": False,
        "used_by": [{"kind": "listener", "name": "web-443"}, {"kind": "service", "name": "web"}], "kind": "pair",
        "names": ["DNS:shop.example", "DNS:*.shop.example", "URI:spiffe://td/ns/a/sa/shop"], "subject": "CN=shop",
        "issuer": "CN=mesh-ca", "key": "EC P-256", "fingerprint": "22fe", "not_before": "2026-11-21T22:19:07.000Z",
        "not_after": "2027-02-19T22:19:07.000Z", "days_left": 89, "state": "ok", "certificates": 2,
        "usage": ["server", "client"]}
MESH = dict(SHOP, name="mesh", kind="bundle", names=[], usage=[], used_by=[], days_left=12, state="soon", certificates=3)
GONE = dict(SHOP, name="gone", names=["DNS:a"], used_by=[], days_left=-3, state="expired", damaged=True)
CHAIN = [{"subject": "CN=shop", "issuer": "CN=mesh-ca", "serial": "2433", "fingerprint": "22fe", "key": "EC P-256",
          "not_before": "2026-11-21T22:19:07.000Z", "not_after": "2027-02-19T22:19:07.000Z"}]
TICKETS = {"mode": "own", "since": "2026-11-21T22:19:08.361Z", "next": "2026-11-22T10:19:08.361Z", "rotate_s": 43200,
           "keys": [{"name": "83c9", "since": "2026-11-21T22:19:08.361Z", "encrypts": True},
                    {"name": "0384", "since": "2026-11-21T10:19:07.566Z", "encrypts": False}]}
PEMS = {"cert": "-----CERT-----\n", "key": "-----KEY-----\n", "ca": "-----CA-----\n"}
KEYS = bytes(range(160))


def ok(**more):
    return dict({"ok": True}, **more)


def no(code, text, **more):
    return dict({"ok": False, "error": {"code": code, "text": text, "hint": None}}, **more)


ROWS = [
    (["cert", "list"], {"verb": "cert", "op": "list"}, ok(certificates=[GONE, MESH, SHOP]), 0,
     """\
NAME  KIND    NAMES                                            ISSUER      NOT AFTER   LEFT              USED BY
gone  pair    DNS:a                                            CN=mesh-ca  2027-02-19  EXPIRED, DAMAGED  -
mesh  bundle  3 CAs                                            CN=mesh-ca  2027-02-19  12 days !         -
shop  pair    DNS:shop.example, DNS:*.shop.example and 1 more  CN=mesh-ca  2027-02-19  89 days           listener web-443, service web
"""),
    (["cert", "show", "shop"], {"verb": "cert", "op": "show", "name": "shop"},
     ok(certificate=dict(SHOP, chain=CHAIN)), 0,
     """\
name        shop
kind        pair
names       DNS:shop.example, DNS:*.shop.example, URI:spiffe://td/ns/a/sa/shop
usage       server client
not after   2027-02-19T22:19:07 UTC, 89 days
used by     listener web-443, service web
added       2026-11-21T22:19:08.110Z
1           CN=shop
  issuer    CN=mesh-ca
  valid     2026-11-21T22:19:07 to 2027-02-19T22:19:07 UTC
  key       EC P-256
  serial    2433
  sha-256   22fe
"""),
    (["cert", "add", "shop", "--cert", "cert", "--key", "key", "-m", "why"],
     {"verb": "cert", "op": "add", "name": "shop", "comment": "why", "cert": PEMS["cert"], "key": PEMS["key"]},
     ok(certificate=SHOP, sent=True, note=None), 0,
     """\
shop: pair added: DNS:shop.example, DNS:*.shop.example, URI:spiffe://td/ns/a/sa/shop, until 2027-02-19 (89 days)
"""),
    (["cert", "replace", "mesh", "--ca", "ca"], {"verb": "cert", "op": "replace", "name": "mesh", "ca": PEMS["ca"]},
     ok(certificate=MESH, sent=False, note="the dataplane is not connected: it is told as soon as it comes"), 0,
     """\
mesh: bundle replaced: 3 CAs, until 2027-02-19 (12 days !)
the dataplane is not connected: it is told as soon as it comes
"""),
    (["cert", "remove", "shop"], {"verb": "cert", "op": "remove", "name": "shop"}, ok(sent=True, note=None), 0,
     "shop: removed\n"),
    (["cert", "remove", "shop"], {"verb": "cert", "op": "remove", "name": "shop"},
     no("in_use", "shop is used by listener web-443"), 1, ""),
    (["cert", "add", "shop", "--cert", "cert", "--key", "key"],
     {"verb": "cert", "op": "add", "name": "shop", "cert": PEMS["cert"], "key": PEMS["key"]},
     no("exists", "there is a pair shop"), 1, ""),
    (["tickets", "show"], {"verb": "tickets", "op": "show"}, ok(tickets=TICKETS), 0,
     """\
the gateway's own keys, rotated every 720 min; next 2026-11-22T10:19:08 UTC
KEY   SINCE
83c9  2026-11-21T22:19:08.361Z  seals new tickets
0384  2026-11-21T10:19:07.566Z  opens older ones
"""),
    (["tickets", "install", "keys"], {"verb": "tickets", "op": "install", "keys": KEYS.hex()},
     ok(tickets=dict(TICKETS, mode="installed", next=None, keys=[TICKETS["keys"][0]]), sent=True, note=None), 0,
     """\
installed keys, not rotated here (sluicectl tickets own ends that)
KEY   SINCE
83c9  2026-11-21T22:19:08.361Z  seals new tickets
"""),
]

# problems are told with the names of the files
PROBLEMS = no("config", "the certificate cannot be used: 2 problems", more=0, problems=[
    {"file": None, "line": 0, "path": "cert", "text": "certificate 1 (CN=a) expired on 2026-01-01", "hint": None},
    {"file": None, "line": 0, "path": "key", "text": "the key is encrypted", "hint": "decrypt it"}],
    warnings=[{"file": None, "line": 0, "path": "cert", "text": "hm", "hint": None}])
SAYS = ["cert: certificate 1 (CN=a) expired on 2026-01-01\n", "key: the key is encrypted (decrypt it)\n",
        "cert: warning: hm\n", "sluicectl: the certificate cannot be used: 2 problems\n"]

# arguments that are wrong before any daemon is asked
WRONG = [
    (["cert", "fly"], "cert: no 'fly'"),
    (["cert", "add", "--cert", "cert", "--key", "key"], "usage: sluicectl cert add NAME"),
    (["cert", "add", "shop"], "needs --cert and --key, or --ca alone"),
    (["cert", "add", "shop", "--cert", "cert"], "needs --cert and --key"),
    (["cert", "add", "shop", "--cert", "cert", "--key", "key", "--ca", "ca"], "needs --cert and --key"),
    (["cert", "list", "--ca", "ca"], "takes no files"),
    (["cert", "add", "shop", "--cert", "cert", "--key", "none"], "none: No such file"),
    (["cert", "add", "shop", "--cert", "keys", "--key", "key"], "keys: not UTF-8 text"),
    (["status", "--cert", "cert"], "--cert goes with cert add, replace, check only"),
    (["tickets", "fly"], "tickets: no 'fly'"),
    (["tickets", "install"], "usage: sluicectl tickets install FILE"),
    (["tickets", "install", "key"], "not 1 to 8 keys of 80 bytes"),
    (["tickets", "own", "key"], "usage: sluicectl tickets own"),
]


class Daemon:
    def __init__(self, path):
        self.asked, self.answer = None, None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            c, _ = self.listener.accept()
            with c:
                magic, version, zero, length = struct.unpack("<IHHI", c.recv(12, socket.MSG_WAITALL))
                assert (magic, version, zero) == (MAGIC, 1, 0)
                self.asked = json.loads(c.recv(length, socket.MSG_WAITALL))
                body = json.dumps(self.answer).encode()
                c.sendall(struct.pack("<IHHI", MAGIC, 1, 0, len(body)) + body)


def run(ctl, arguments, cwd):
    p = subprocess.run([ctl, "-s", os.path.join(cwd, "api")] + arguments, capture_output=True, text=True, timeout=20,
                       cwd=cwd)
    return p.returncode, p.stdout, p.stderr


def check_rows(ctl, d, daemon):
    failed = 0
    for arguments, asked, answer, rc, text in ROWS:
        daemon.asked, daemon.answer = None, answer
        got = run(ctl, arguments, d)
        # columns may end in spaces
        out = "".join(line.rstrip() + "\n" for line in got[1].splitlines())
        if (got[0], out, daemon.asked) != (rc, text, asked) or (rc == 0 and got[2]):
            failed += 1
            print(f"{arguments}\n--- is {got[0]}, asked {daemon.asked}\n{out}{got[2]}--- wanted {rc}, {asked}\n{text}")
        # what programs read is the answer as it came
        if json.loads(run(ctl, arguments + ["--json"], d)[1]) != answer:
            failed += 1
            print(f"{arguments} --json is not the answer")
    return failed


def check_problems(ctl, d, daemon):
    daemon.answer = PROBLEMS
    rc, _, err = run(ctl, ["cert", "check", "--cert", "cert", "--key", "key"], d)
    failed = sum(says not in err for says in SAYS) + (rc != 1)
    if failed:
        print(f"problems: exit {rc}, {err}")
    return failed


def check_modes(ctl, d, daemon):
    """A key that everybody may read is spoken of, and taken all the same; a key from standard input has no mode."""
    failed = 0
    daemon.answer = ok(certificate=SHOP, sent=True, note=None)
    for mode, warned in (0o644, True), (0o640, False), (0o600, False):
        os.chmod(os.path.join(d, "key"), mode)
        rc, _, err = run(ctl, ["cert", "add", "shop", "--cert", "cert", "--key", "key"], d)
        if rc != 0 or ("chmod 600 key" in err) != warned:
            failed += 1
            print(f"mode {mode:o}: exit {rc}, {err}")
    p = subprocess.run([ctl, "-s", os.path.join(d, "api"), "cert", "add", "shop", "--cert", "cert", "--key", "-"],
                       input=PEMS["key"], capture_output=True, text=True, timeout=20, cwd=d)
    if p.returncode or p.stderr or daemon.asked["key"] != PEMS["key"]:
        failed += 1
        print(f"standard input: exit {p.returncode}, {p.stderr}")
    return failed


def main(ctl):
    with tempfile.TemporaryDirectory() as d:
        for name, text in PEMS.items():
            with open(os.open(os.path.join(d, name), os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                f.write(text)
        with open(os.open(os.path.join(d, "keys"), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
            f.write(KEYS)
        daemon = Daemon(os.path.join(d, "api"))
        failed = check_rows(ctl, d, daemon) + check_problems(ctl, d, daemon) + check_modes(ctl, d, daemon)
        for arguments, says in WRONG:
            daemon.asked = None
            rc, _, err = run(ctl, arguments, d)
            if rc != 2 or says not in err or daemon.asked:
                failed += 1
                print(f"{arguments}: exit {rc}, {err}")
    print(f"{len(ROWS) + len(WRONG) + 5} rows, {failed} failed")
    return failed > 0


sys.exit(main(os.path.abspath(sys.argv[1])))
