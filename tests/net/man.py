"""man — that the manual pages say what there is: keys of all files, verbs and options of all programs.

    man.py TREE BUILD

A page has a section (.Ss) for each group of a file, and an item (.It Cm KEY) for each key in it.
"""
import json
import os
import re
import subprocess
import sys

TREE, BUILD = sys.argv[1:3]
problems = []


def page(path):
    with open(os.path.join(TREE, path), encoding="utf-8") as f:
        return f.read()


def items(text):
    """{(section, key): text} of .It Cm; every name in a title of a section counts."""
    found, sections, key = {}, [""], None
    for line in text.split("\n"):
        if line.startswith((".Ss ", ".Sh ")):
            first, *more = line[4:].split(", ")
            sections = [first] + [m if m.startswith("route_tables.") else first.rpartition(".")[0] + "." + m for m in more]
        elif line.startswith(".It Cm "):
            key = line.split()[2]
            for s in sections:
                found[s, key] = ""
        elif key and not line.startswith(".El"):
            for s in sections:
                if (s, key) in found:
                    found[s, key] += line + "\n"
        else:
            key = None
    return found


def want(name, found, section, key, words=()):
    if (section, key) not in found:
        problems.append(f"{name}: section '{section}' has no key {key}")
        return
    for w in words:
        if w not in re.sub(r"\s+", " ", found[section, key]):
            problems.append(f"{name}: {section}: {key} does not say {w!r}: {found[section, key]!r}")


def nothing_else(name, found, known):
    for section, key in found:
        if (section, key) not in known:
            problems.append(f"{name}: section '{section}' has key {key}, which there is not")


# ---- tables ----

SHAPES = """SL_KEY(g,k,t,f,lo,hi,n,d,r,h) @K g k n d
SL_WORD(g,k,w,f,n,d,h) @K g k n d
SL_SUB(g,k,s,o,h) @G g k s NULL
SL_LIST(g,k,s,f,c,m,h) @G g k s NULL
SL_ADDRS(g,k,f,c,m,r,h) @K g k - NULL
SL_PREFIXES(g,k,f,c,m,r,h) @K g k - NULL
SL_HOSTS(g,k,f,c,m,r,h) @K g k - NULL
SL_NAMES(g,k,f,c,m,h) @K g k - NULL
SL_SANS(g,k,f,c,m,h) @K g k - NULL
SL_ALPNS(g,k,f,c,m,h) @K g k - NULL
SL_ORIGINS(g,k,f,c,m,h) @K g k - NULL
SL_TOKENS(g,k,f,c,m,h) @K g k - NULL
SL_VALUES(g,k,f,c,m,r,h) @K g k - NULL
SL_TEXTS(g,k,f,c,m,r,h) @K g k - NULL
SL_METAS(g,k,f,r,h) @K g k - NULL
SL_WORDS(g,k,w,f,d,h) @K g k - NULL
SL_LINES(g,k,f,r,h) @K g k - NULL
SL_INTS(g,k,f,lo,hi,m,r,h) @K g k - NULL"""


def table_rows():
    """(kind, group, key, group of its value or whether it must be there, default) of conf_keys.def; cpp takes its macros apart."""
    source = re.sub(r"#undef SL_.*", "", page("mgmt/conf_keys.def"))
    defines = "".join(f"#define {s}\n" for s in SHAPES.split("\n"))
    out = subprocess.run(["gcc", "-E", "-P", "-x", "c", "-"], input=defines + source, text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    return re.findall(r'@([KG]) (\w+) (\w+) (\w+|-) (NULL|"[^"]*")', out)


def table():
    name = "sluice-table.5"
    found = items(page("mgmt/man/" + name))
    rows = table_rows()
    assert len(rows) > 150, "conf_keys.def was not understood"
    paths = {"ROOT": {"KEYS"}}
    for _ in range(8):  # deeper than groups are
        for kind, group, key, sub, _default in rows:
            if kind == "G":
                paths.setdefault(sub, set()).update(
                    key if p == "KEYS" else p + "." + key for p in paths.get(group, ()))
    known = set()
    for _kind, group, key, need, default in rows:
        for path in paths[group]:
            default = default.strip('"')
            words = ("required",) if need == "REQUIRED" else () if default in ("NULL", "") else ("default " + default,)
            want(name, found, path, key, words)
            known.add((path, key))
    nothing_else(name, found, known)
    return len(known)


# ---- boot file ----

def boot():
    name = "dataplane.conf.5"
    found = items(page("dataplane/man/" + name))
    shown = subprocess.run([BUILD + "/dataplane/sluice-dataplane", "--show-boot", "-c", os.path.join(TREE, "scripts/etc/dataplane.conf")],
                           text=True, stdout=subprocess.PIPE, check=True).stdout
    defaults = json.loads(shown)
    told = {"daemon_user": ("root",), "workers": ("Required",), "memory_mb": ()}  # not what a default file leaves out
    known = set()
    for group, body in re.findall(r"struct sl_boot_key (\w+)_keys\[\] = \{\n(.*?)\n\};", page("dataplane/boot.c"), re.S):
        section = {"top": "The file", "port": "ports"}.get(group, group)
        values = defaults if group == "top" else defaults["ports"][0] if group == "port" else defaults[group]
        for key, kind, required, choices in re.findall(
                r'\{"(\w+)",\s+(\w+),\s+(\w+),[^"]*?(?:"([^"]*)",|NULL,)', body):
            words = ["Required"] if required == "true" else []
            words += choices.split("|") if choices else []
            value = values.get(key)
            if key in told:
                words += told[key]
            elif kind in ("INTEGER", "CHOICE", "STRING") and value not in (None, "") and required == "false" and group != "port":
                words.append(str(value))
            want(name, found, section, key, words)
            known.add((section, key))
    assert len(known) > 45, "boot.c was not understood"
    nothing_else(name, found, known)
    return len(known)


# ---- the daemon's file ----

DAEMON_LISTS = ("mgmt/daemon_conf_sources.c",)


def daemon():
    name = "sluiced.conf.5"
    found = items(page("mgmt/man/" + name))
    source = page("mgmt/daemon_conf.c") + page("mgmt/daemon_conf_store.c")
    keys = dict(re.findall(r'ROW\((\w+), \w+, "([^"]*)"\)', source))
    for body in re.findall(r"static const char \*const \w+\[\] = \{([^}]*)\}", source):
        keys.update((k, "") for k in re.findall(r'"(\w+)"', body))
    for body in re.findall(r"static const char \*const \w+\[\] = \{([^}]*)\}", page("mgmt/daemon_conf_registry.c")):
        keys.update((k, "") for k in re.findall(r'"(\w+)"', body))
    keys.update((k, "") for k in re.findall(r'return i \? NULL : "(\w+)"', source))
    for path in DAEMON_LISTS:  # groups that have a file of their own
        keys.update((k, "") for k in re.findall(r'ROW(?:_\w+)?\("(\w+)"', page(path)))
    assert len(keys) > 14, "daemon_conf.c was not understood"
    for key, default in keys.items():
        sections = [s for s, k in found if k == key]
        if not sections:
            problems.append(f"{name}: no key {key}")
        elif default:
            want(name, found, sections[0], key, (default,))
    for _section, key in found:
        if key not in keys:
            problems.append(f"{name}: there is no key {key}")
    return len(keys)


# ---- programs ----

PROGRAMS = {
    "mgmt/man/sluicectl.8": [BUILD + "/mgmt/sluicectl", "--help"],
    "mgmt/man/sluiced.8": [BUILD + "/mgmt/sluiced", "--help"],
    "dataplane/man/sluice-dataplane.8": [BUILD + "/dataplane/sluice-dataplane", "--help"],
    "dataplane/man/sluice-pktgen.1": [BUILD + "/dataplane/pktgen/sluice-pktgen", "--help"],
    "dataplane/man/sluice-devbind.8": [TREE + "/scripts/devbind", "--help"],
    "dataplane/man/sluice-hugepages.8": [TREE + "/scripts/hugepages", "--help"],
}


def options():
    """Long options of --help and of the page are the same; the numbers of them."""
    n = 0
    for path, command in PROGRAMS.items():
        text = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout
        there = set(re.findall(r"(?<![\w-])--([a-z][a-z0-9-]+)", text)) - {"help"}
        told = set(re.findall(r"(?:Fl|,|\|) -([a-z][a-z0-9-]+)", page(path))) - {"help"}
        assert there, f"{command} tells no option"
        problems.extend(f"{path}: option --{o} is not told" for o in sorted(there - told))
        problems.extend(f"{path}: there is no option --{o}" for o in sorted(told - there))
        n += len(there)
    return n


def verbs():
    path = "mgmt/man/sluicectl.8"
    text = subprocess.run([BUILD + "/mgmt/sluicectl", "help"], text=True, stdout=subprocess.PIPE, check=True).stdout
    there = re.findall(r"^  ([a-z]+)(?: |$)", text.split("\n\n")[1], re.M)
    told = {line.split()[2] for line in page(path).split("\n") if line.startswith(".It Cm ")}
    assert len(there) > 15, "sluicectl help was not understood"
    problems.extend(f"{path}: verb {v} is not told" for v in there if v not in told)
    problems.extend(f"{path}: there is no verb {v}" for v in sorted(told - set(there)))
    what = re.search(r"^  show .*$", text, re.M).group(0)
    for w in re.findall(r"[a-z]+", what.partition("]")[2].replace("operator", "")):
        if w not in ("and", "or") and f".Cm {w}\n" not in page(path) and f".Cm {w} ," not in page(path):
            problems.append(f"{path}: show {w} is not told")
    return len(there)


print(f"{table()} keys of tables, {boot()} of the boot file, {daemon()} of the daemon's file, "
      f"{verbs()} verbs, {options()} options")
for p in problems:
    print(p)
sys.exit(1 if problems else 0)
