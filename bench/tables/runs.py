"""The log of the runs, and what is made of the figures of several."""

import json
import os
import platform
import statistics
import subprocess

OTHERS = 0.15       # of a core, for what is no part of the measurement
FAR_NS = 80         # a cache line that takes longer is from another cache


def command(*args):
    """The first line that a command prints, or nothing."""
    try:
        done = subprocess.run(args, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode != 0:
        return ""
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else ""


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def host():
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "nginx": command(os.environ.get("NGINX", "nginx"), "-v"),
        "compiler": command("cc", "--version"),
        "commit": command("git", "describe", "--always", "--dirty"),
    }


def read_runs(path):
    """Rows by name, in their order: title, metric, results of each side."""
    rows = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            run = json.loads(line)
            row = rows.setdefault(run["row"], {
                "title": run["title"], "metric": run["metric"], "sides": {}})
            row["sides"].setdefault(run["side"], []).append(run["result"])
    return rows


def failed(row):
    """The runs that do not count, of all sides."""
    return [r for results in row["sides"].values() for r in results
            if r is None or r.get("failed")]


def summary(values):
    values = list(values)
    return {"median": statistics.median(values),
            "min": min(values), "max": max(values)}


def compare(base, queue):
    """Medians of both sides, and the ratios of the runs made in turns."""
    return {
        "base": summary(base),
        "queue": summary(queue),
        "ratio": summary(q / b if b else 0 for b, q in zip(base, queue)),
    }


def share(results, key):
    return statistics.median(r["steady"].get(key, 0) for r in results)


def others(row):
    """CPU time for something else, in the worst of the runs."""
    return max((r["whole"].get("others_cpu", 0)
                for results in row["sides"].values() for r in results
                if r and "whole" in r), default=0)


def quiet(results):
    """The runs beside which hardly anything else used the cores, if there are
    such: two workers get into each other's way less where they have to wait
    for the core anyway."""
    return [r for r in results
            if r["whole"]["others_cpu"] <= OTHERS] or results


def by_distance(results):
    """Runs by where the host had put the cores meanwhile: a line of one moved
    to the other within their cache, or from further away."""
    groups = {"near": [], "far": []}
    for r in results:
        groups["near" if r["move_ns"] < FAR_NS else "far"].append(r)
    return groups


def base_of(row):
    """What the queue is compared with: the floor, or itself otherwise."""
    return row["sides"].get("floor") or row["sides"].get("base")


def times(results, what, name=None):
    return [r[what] if name is None else r[what][name] for r in results]
