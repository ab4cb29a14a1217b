#!/usr/bin/env python3
"""Instructions per message, from the files that callgrind wrote about two runs
of the same processes, the second one with more messages.

Usage: workers.py MESSAGES-MORE FIRST SECOND LOAD.JSON

FIRST and SECOND are the directories of the files.  What both runs needed
besides, to start and to log in, is in neither figure.  Of kmq-load's report
about the second run the CPU time is kept that was others'.
"""

import json
import os
import re
import sys

# taking the lock, waiting for it, giving it back
LOCK = re.compile(r"(kmq_lock|kmq_unlock|lock_wait|cpu_relax"
                  r"|_*pthread_mutex_\w*lock\w*|_*lll_\w+)\b")
NAME = re.compile(r"c?fn=\((\d+)\)(?: (.*))?")
COST = re.compile(r"(?:\+|-)?[\d*]+ (\d+)$")


def count(path):
    """The instructions of a process, and of them those of the lock."""
    names = {}
    total = lock = 0
    inside = called = False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            cost = COST.match(line)
            if cost and not called:
                total += int(cost[1])
                lock += int(cost[1]) if inside else 0
                continue
            called = line.startswith("calls=")
            name = NAME.match(line)
            if name and name[2]:
                names[name[1]] = name[2].strip()
            if name and line.startswith("fn="):
                inside = LOCK.match(names[name[1]]) is not None
    return total, lock


def count_all(directory):
    both = [count(os.path.join(directory, name))
            for name in os.listdir(directory)]
    if not both:
        sys.exit(f"callgrind wrote nothing into {directory}")
    return [sum(part) for part in zip(*both)]


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    messages = int(sys.argv[1])
    first, second = (count_all(name) for name in sys.argv[2:4])
    total, lock = ((b - a) / messages for a, b in zip(first, second))
    with open(sys.argv[4], encoding="utf-8") as file:
        whole = json.load(file)["whole"]
    print(json.dumps({"instructions": total, "lock": lock,
                      "whole": {"others_cpu": whole["others_cpu"]}}))


if __name__ == "__main__":
    main()
