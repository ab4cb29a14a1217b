#!/usr/bin/env python3
"""What do more workers bring than this machine has cores for?

    many_workers.py [--held NS] [--lines N] [--move NS] [--wake NS]

A simulation of workers that share a queue, one core each.  A worker's turn is
that of kmq-cores: it reserves a batch, commits it, takes one and confirms it,
each under the lock of the shard that the topic is in, and does some other work
for each message in between.  What is put in is measured on two cores:

    --held   ns for each message, over all four, with a lock held: from one
             worker with nothing else to do, as if it held a lock all the time
    --lines  cache lines that go from core to core when another worker than the
             last one takes a lock (kmq-cores --lines), and for each message of
             a topic that another worker has published: it is as many as twice
    --move   ns that one takes (kmq-cores prints it)
    --wake   ns from a lock's release to the next one's start, where that waits

A topic's shard is drawn, as by its name.  Locks are given in the order in which
they are asked for.  It prints how much work so many workers do, as a multiple of
one's.  What it leaves out: memory's own bounds, the distance of cores, and what
the kernel does; so it tells where locks end, not what a machine can do.
"""

import argparse
import heapq
import random

WORKERS = (1, 2, 4, 8, 16, 32, 64)
SHARDS = 64
PARTS = 4            # takings of a lock for a batch
TURNS = 200          # batches that a worker alone does in the time
SEEDS = 8


def simulate(workers, topics, batch, work, o, seed):
    """Messages that all workers do while one alone does TURNS batches."""
    rng = random.Random(seed)
    shard = [rng.randrange(SHARDS) for _ in range(topics)]
    free = [0.0] * SHARDS       # when the lock is free again
    last = [None] * SHARDS      # who had it
    end = TURNS * batch * (work + o.held)
    heap = [(rng.random() * batch * work, w, 0) for w in range(workers)]
    done = 0
    heapq.heapify(heap)

    while heap:
        now, worker, part = heapq.heappop(heap)

        # a worker has topics of its own where there are as many as workers
        topic = worker % topics if topics >= workers else rng.randrange(topics)
        at = shard[topic]
        begin = now

        if free[at] > now:
            begin = free[at] + o.wake

        held = batch * o.held / PARTS

        if last[at] not in (None, worker):
            held += o.move * o.lines
            held += o.move * 2 * batch / PARTS

        free[at] = begin + held
        last[at] = worker
        after = begin + held + batch * work / PARTS

        if after > end:
            continue

        part += 1
        done += batch / PARTS
        heapq.heappush(heap, (after, worker, part))

    return done


def mean(workers, topics, batch, work, o):
    return sum(simulate(workers, topics, batch, work, o, seed)
               for seed in range(SEEDS)) / SEEDS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--held", type=float, default=70)
    parser.add_argument("--lines", type=float, default=8)
    parser.add_argument("--move", type=float, default=60)
    parser.add_argument("--wake", type=float, default=100)
    o = parser.parse_args()

    print("| topics | batch | other work, ns | "
          + " | ".join("%d workers" % n for n in WORKERS[1:]) + " |")
    print("|---" * (len(WORKERS) + 2) + "|")

    for topics, name in ((1, "one"), (8, "8"), (64, "64"), (0, "one each")):
        for batch, work in ((1, 2000), (4, 500), (64, 500), (64, 250)):
            one = mean(1, topics or 1, batch, work, o)
            ratios = [mean(n, topics or n, batch, work, o) / one
                      for n in WORKERS[1:]]
            print("| %s | %d | %d | %s |"
                  % (name, batch, work,
                     " | ".join("%.1f" % ratio for ratio in ratios)))


if __name__ == "__main__":
    main()
