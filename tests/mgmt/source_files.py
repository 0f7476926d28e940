"""source_files.py ASK — the source "files": files that change, are renamed, half written, gone, odd, or not files at all."""
import ctypes
import json
import os
import shutil
import sys
import tempfile
import threading
import time

from asked import Asked, Failed, claim, run, wait_for, write

ASK = sys.argv[1]
SOON = 3  # s; the poll, which would find the same, comes 5 s after the last one


def same(got, wanted):
    if got != wanted:
        raise Failed("%s instead of %s" % (got, wanted))


def holds(text, *parts):
    for part in parts:
        if part not in text:
            raise Failed("%r has no %r" % (text, part))


def endpoints(*addresses):
    return json.dumps([{"name": "e" + a.replace(".", "-"), "address": a, "port": 80} for a in addresses])


class Room:
    """A directory of endpoints, and the source that watches it."""

    def __init__(self, text=None):
        self.temporary = tempfile.TemporaryDirectory()
        self.directory = os.path.join(self.temporary.name, "endpoints")
        os.mkdir(self.directory)
        os.chmod(self.temporary.name, 0o755)
        self.file = os.path.join(self.directory, "web.json")
        if text is not None:
            write(self.file, text)

    def asked(self, *keys):
        return Asked(ASK, 'type = "files"; directory = "%s";' % self.directory, "web", *keys)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.temporary.cleanup()


def bad_then_good(make_bad, *words):
    """What was good stays while the file is bad; then another one is renamed into place."""
    with Room(endpoints("192.0.2.1")) as room, room.asked() as asked:
        same(asked.answer(), ["192.0.2.1"])
        start = time.monotonic()
        make_bad(room)
        holds(asked.trouble(), room.file, *words)
        if not 0.1 <= asked.seen[-1]["at"] - start <= SOON:
            raise Failed("told after %.2f s" % (asked.seen[-1]["at"] - start))
        if os.path.isdir(room.file) and not os.path.islink(room.file):
            os.rmdir(room.file)
        write(room.file, endpoints("192.0.2.1", "192.0.2.2"))
        asked.until(["192.0.2.1", "192.0.2.2"])


def instead(path):
    """PATH.new in PATH's place, whatever both are, without a moment between."""
    at_cwd, exchange = -100, 2
    if ctypes.CDLL(None, use_errno=True).renameat2(at_cwd, (path + ".new").encode(), at_cwd, path.encode(), exchange):
        raise OSError(ctypes.get_errno(), "renameat2 of " + path)
    os.remove(path + ".new")


def overwrite(text):
    def make_bad(room):
        write(room.file, text)

    return make_bad


@claim
def a_rename_is_seen_within_100_ms():
    with Room(endpoints("192.0.2.1")) as room, room.asked() as asked:
        asked.answer()
        took = []  # the machine may be busy for a moment: half of them have to be as fast as that
        for i in range(2, 22):
            start = time.monotonic()
            write(room.file, endpoints("192.0.2.%d" % i))
            asked.until(["192.0.2.%d" % i])
            took.append(asked.seen[-1]["at"] - start)
        if sorted(took)[len(took) // 2] > 0.1:
            raise Failed("it took %s ms" % [round(t * 1000) for t in took])


@claim
def every_key_arrives():
    text = json.dumps([{"name": "a", "address": "192.0.2.1", "port": 80, "weight": 3, "priority": 2, "percent": 50, "drain": True,
                        "locality": "eu/a", "metadata": {"version": "v2", "canary": "true"}}, {"address": "2001:db8::1", "port": 81}])
    with Room(text) as room, room.asked() as asked:
        same(asked.next()["answer"],
             [{"name": "a", "address": "192.0.2.1", "port": 80, "weight": 3, "priority": 2, "percent": 50, "drain": True, "down": False,
               "locality": "eu/a", "metadata": "canary=true,version=v2"},
              {"name": "2001-db8--1-81", "address": "2001:db8::1", "port": 81, "weight": -1, "priority": 0, "percent": 100, "drain": False,
               "down": False, "locality": "", "metadata": ""}])


@claim
def another_name_is_another_file():
    with Room() as room:
        write(os.path.join(room.directory, "shop.v2.json"), endpoints("192.0.2.9"))
        with room.asked("name=shop.v2") as asked:
            same(asked.answer(), ["192.0.2.9"])
        with room.asked("name=../endpoints/shop.v2") as asked:
            holds(asked.trouble(), 'the name of a file has no "/"')


@claim
def an_empty_list_is_an_answer():
    with Room("[]") as room, room.asked() as asked:
        line = asked.next("answer", "trouble")
        same((line["answer"], line["left_out"]), ([], 0))


@claim
def what_cannot_be_used_is_left_out_and_named():
    text = '[{"name":"a","address":"192.0.2.1","port":80},{"name":"b","address":"127.0.0.1"},{"name":"a","address":"192.0.2.3"},' \
           '{"name":"-","address":"192.0.2.4"},7,{"address":"192.0.2.5","wieght":1}]'
    with Room(text) as room, room.asked() as asked:
        line = asked.next("answer", "trouble")
        same(([e["address"] for e in line["answer"]], line["left_out"]), (["192.0.2.1"], 5))
        holds(line["note"], '[1]: address: "127.0.0.1"')


@claim
def the_same_is_confirmed_without_an_event():
    with Room(endpoints("192.0.2.1")) as room, room.asked() as asked:
        asked.answer()
        start = time.monotonic()
        asked.next("confirm")
        if not 3 < time.monotonic() - start < 8:
            raise Failed("confirmed after %.1f s" % (time.monotonic() - start))
        same([line for line in asked.seen[1:] if "confirm" not in line], [])


@claim
def what_is_no_list_is_trouble():
    for text, words in (("", "is empty"), ("{}", "is not a list"), ("[1,", "is not JSON: line 1"), ("[]x", "is not JSON"), ("null", "is not"),
                        ("\0" * 100, "is not JSON"), ("[" * 100000, "is nested more than 32 levels deep"), ('[{"a":1,"a":2}]', "is not JSON"),
                        ('["\xff"]'.encode("latin-1").decode("utf-8", "surrogateescape"), "is not JSON")):
        def make_bad(room, text=text):
            with open(room.file + ".new", "wb") as f:
                f.write(text.encode("utf-8", "surrogateescape"))
            os.rename(room.file + ".new", room.file)

        bad_then_good(make_bad, words)


@claim
def huge_files_are_trouble():
    bad_then_good(overwrite("[" + " " * (8 << 20) + "]"), "is longer than 8 MB")
    bad_then_good(overwrite("[" + "{}," * 300000 + "{}]"), "has more values than any answer needs")

    def sparse(room):
        with open(room.file + ".new", "wb") as f:
            f.truncate(1 << 40)
        os.rename(room.file + ".new", room.file)

    bad_then_good(sparse, "is longer than 8 MB")


@claim
def ten_thousand_endpoints_are_read():
    with Room(endpoints(*("10.1.%d.%d" % (i // 250, i % 250 + 1) for i in range(10000)))) as room, room.asked() as asked:
        same(len(asked.answer()), 10000)


@claim
def more_than_a_service_can_have_are_counted():
    with Room(endpoints(*("10.%d.%d.%d" % (i // 62500, i // 250 % 250, i % 250 + 1) for i in range(17000)))) as room, room.asked() as asked:
        line = asked.next("answer", "trouble")
        same((len(line["answer"]), line["left_out"]), (16384, 17000 - 16384))
        holds(line["note"], "[16384]: is one more than any service can have")


@claim
def a_removed_file_is_trouble():
    bad_then_good(lambda room: os.remove(room.file), "is not there")


@claim
def what_is_not_a_file_is_trouble():
    def fifo(room):
        os.mkfifo(room.file + ".new")
        instead(room.file)

    def directory(room):
        os.mkdir(room.file + ".new")
        instead(room.file)

    def link(target):
        def make(room):
            os.symlink(target, room.file + ".new")
            os.rename(room.file + ".new", room.file)

        return make

    bad_then_good(fifo, "is not a file")
    bad_then_good(directory, "is not a file")
    bad_then_good(link("/dev/zero"), "is not a file")
    bad_then_good(link("web.json"), "cannot be read: Too many levels of symbolic links")
    bad_then_good(link("nowhere"), "is not there")


@claim
def links_are_followed_as_volumes_are_mounted():
    """web.json → ..data/web.json, ..data → a directory; the change is a rename of ..data."""
    with Room() as room:
        for i in (1, 2):
            os.mkdir(os.path.join(room.directory, "..%d" % i))
            write(os.path.join(room.directory, "..%d" % i, "web.json"), endpoints("192.0.2.%d" % i))
        os.symlink("..1", os.path.join(room.directory, "..data"))
        os.symlink("..data/web.json", room.file)
        with room.asked() as asked:
            same(asked.answer(), ["192.0.2.1"])
            start = time.monotonic()
            os.symlink("..2", os.path.join(room.directory, "..new"))
            os.rename(os.path.join(room.directory, "..new"), os.path.join(room.directory, "..data"))
            same(asked.answer(), ["192.0.2.2"])
            if asked.seen[-1]["at"] - start > SOON:
                raise Failed("seen after %.1f s" % (asked.seen[-1]["at"] - start))


@claim
def a_file_written_in_place_is_believed_only_whole():
    old, new = endpoints("192.0.2.1"), endpoints(*("192.0.2.%d" % i for i in range(1, 200)))
    with Room(old) as room, room.asked() as asked:
        same(asked.answer(), ["192.0.2.1"])
        with open(room.file, "w", encoding="utf-8", buffering=1) as f:
            for at in range(0, len(new), 500):
                f.write(new[at:at + 500])
                f.flush()
                time.sleep(0.02)
        line = asked.next("answer")
        same(len(line["answer"]), 199)
        same([s for s in asked.seen if "answer" in s and len(s["answer"]) not in (1, 199)], [])


@claim
def a_file_half_written_for_long_is_trouble():
    with Room(endpoints("192.0.2.1")) as room, room.asked() as asked:
        asked.answer()
        with open(room.file, "r+", encoding="utf-8") as f:  # never empty
            f.write('[{"name":"a",')
            f.truncate()
        holds(asked.trouble(), "is not JSON")
        with open(room.file, "a", encoding="utf-8") as f:
            f.write('"address":"192.0.2.3"}]')
        same(asked.next("answer")["answer"][0]["address"], "192.0.2.3")


@claim
def a_file_that_never_rests_gives_no_halves():
    """A writer that goes on and on, in place, for a second: what is read is one of the two texts, or trouble."""
    texts = [endpoints("192.0.2.1"), endpoints(*("192.0.2.%d" % i for i in range(1, 100)))]
    stop = threading.Event()

    def hurry(path):
        i = 0
        while not stop.is_set():
            with open(path, "w", encoding="utf-8") as f:
                f.write(texts[i % 2])
            i += 1

    with Room(texts[0]) as room, room.asked() as asked:
        asked.answer()
        writer = threading.Thread(target=hurry, args=(room.file,))
        writer.start()
        time.sleep(1)
        stop.set()
        writer.join()
        write(room.file, endpoints("192.0.2.7"))
        asked.until(["192.0.2.7"])
        same({len(s["answer"]) for s in asked.seen if "answer" in s} <= {1, 99}, True)


def is_watched(room, asked, address, text):
    """Behind an answer of now: what the poll finds comes later than SOON."""
    start = time.monotonic()
    write(room.file, endpoints(address))
    asked.until([address])
    if asked.seen[-1]["at"] - start > SOON:
        raise Failed(text)


@claim
def a_directory_that_comes_later_is_found():
    with Room() as room:
        shutil.rmtree(room.directory)
        with room.asked() as asked:
            holds(asked.trouble(), "is not there")
            os.mkdir(room.directory + ".new")
            write(os.path.join(room.directory + ".new", "web.json"), endpoints("192.0.2.1"))
            os.rename(room.directory + ".new", room.directory)
            same(asked.next("answer", "trouble").get("answer", [{}])[0].get("address"), "192.0.2.1")  # by the poll
            is_watched(room, asked, "192.0.2.2", "the directory is not watched")


@claim
def a_directory_that_came_before_the_question_is_watched():
    """Not when the source was made, but when it was asked: as with a daemon that started before its directory was mounted."""
    with Room(endpoints("192.0.2.1")) as room:
        os.rename(room.directory, room.directory + ".later")
        with room.asked() as asked:
            wait_for("the process", lambda: os.path.exists("/proc/%d" % asked.process.pid))
            os.rename(room.directory + ".later", room.directory)
            same(asked.next("answer")["answer"][0]["address"], "192.0.2.1")
            is_watched(room, asked, "192.0.2.2", "the directory is not watched")


@claim
def a_directory_that_is_replaced_is_watched():
    with Room(endpoints("192.0.2.1")) as room, room.asked() as asked:
        asked.answer()
        os.rename(room.directory, room.directory + ".old")
        os.mkdir(room.directory)
        write(room.file, endpoints("192.0.2.2"))
        asked.until(["192.0.2.2"])
        is_watched(room, asked, "192.0.2.3", "the new directory is not watched")


@claim
def a_file_that_may_not_be_read_is_trouble():
    with tempfile.TemporaryDirectory() as copy:
        command = (ASK,)
        if os.geteuid() == 0:  # whom nothing is forbidden
            os.chmod(copy, 0o755)
            program = shutil.copy(ASK, copy)
            os.chmod(program, 0o755)
            command = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program)
        with Room(endpoints("192.0.2.1")) as room:
            asked = room.asked()
            asked.command[:1] = command
            os.chmod(asked.conf.name, 0o644)
            os.chmod(room.file, 0o644)
            with asked:
                same(asked.answer(), ["192.0.2.1"])
                os.chmod(room.file, 0)
                holds(asked.trouble(), "cannot be read: Permission denied")
                os.chmod(room.file, 0o644)
                asked.next("confirm", "answer")
                os.chmod(room.directory, 0)
                wait_for("trouble", lambda: "trouble" in asked.next())
                os.chmod(room.directory, 0o755)
                asked.next("confirm", "answer")


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:]))
