#!/usr/bin/env python3
"""catalog_peer.py FIFO DONE: the servers of tests/mgmt for Consul (127.0.0.1:8500) and Kubernetes (127.0.0.1:6443), written from the
public descriptions of both; each line of FIFO is done in turn, and their number then written to DONE."""

import json
import os
import sys
import time  # noqa: F401 (for what is told)

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mgmt"))
from consul_server import Agent, instance  # noqa: E402
from kubernetes_server import NOT_READY, TERMINATING, Api, a_slice, endpoint, status  # noqa: E402, F401

consul, kube = Agent(8500), Api(6443)


def node(i, **more):
    """Endpoint I of the network, as Consul has it."""
    return instance("e%d" % i, "10.77.2.1%d" % i, **more)


def pod(i, **more):
    """The same, as Kubernetes has it."""
    return endpoint("e%d" % i, "10.77.2.1%d" % i, **more)


def pods(name, *list_):
    return a_slice(name, list(list_), service="shop", ports=(("http", 80),))


def honest():
    consul.tell(None)
    kube.list_lie = kube.watch_lie = None


def say(code, body):
    """Both answer that to whatever they are asked."""
    consul.tell(lambda handler, query: handler.answer(code, body, consul.index))
    kube.list_lie = kube.watch_lie = lambda handler, query: handler.answer(code, body)
    kube.cut()


def useless():
    """All endpoints have addresses that none can have."""
    consul.set("web", [instance("e1", "127.0.0.1")])
    kube.put(pods("shop-2", endpoint("x", "127.0.0.1")))


def empty():
    """Both say, in good order, that there are no endpoints."""
    consul.set("web", [])
    with kube.changed:
        for key in list(kube.slices):
            kube.delete(key[1])


def main():
    fifo, done = sys.argv[1:]
    os.mkfifo(fifo)
    print("ready", flush=True)
    n = 0
    # Open for writing, too: what is written between an end and the next opening would be lost.
    with open(os.open(fifo, os.O_RDWR), encoding="utf-8") as f:
        for line in f:
            exec(line, globals())
            n += 1
            with open(done + ".new", "w") as d:
                d.write("%d\n" % n)
            os.rename(done + ".new", done)


main()
