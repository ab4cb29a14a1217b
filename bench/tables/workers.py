"""Two workers."""

from .cells import OTHERS, failure, few, line, mark, ratio
from .runs import base_of, compare, share, times


def evaluate_workers(row):
    """One worker and two; the lock is a part of both."""
    sides = base_of(row), row["sides"]["queue"]
    return {key: compare(*(times(r, key) for r in sides))
            for key in ("instructions", "lock")}


def table_workers(rows):
    out = ["", line("instructions per message", "one worker", "two",
                    "two / one", "of these for the lock, one / two"),
           "|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 5))
            continue
        count = result["instructions"]
        lock = result["lock"]
        out.append(line(
            title, *(f"{count[side]['median']:,.0f} ({count[side]['min']:,.0f}"
                     f"–{count[side]['max']:,.0f})"
                     for side in ("base", "queue")),
            ratio(count["ratio"]),
            " / ".join(f"{lock[side]['median']:,.1f}"
                       for side in ("base", "queue"))))
    return out


def evaluate_cores_nginx(row):
    """Sides are TOPICS/WINDOW/WHO; ratios are those of each run."""
    cases = {}
    for side, results in row["sides"].items():
        case, who = side.rsplit("/", 1)
        cases.setdefault(case, {})[who] = results
    return {case: {"ns": compare(*([r["steady"]["server_ns_per_message"]
                                    for r in who[side]]
                                   for side in ("one", "two"))),
                   **{side: {key: share(who[side], key)
                             for key in ("delivered_per_s", "server_cpu",
                                         "load_cpu", "kernel_ns_per_message",
                                         "sleeps_per_million",
                                         "preempted_per_million")}
                      for side in ("one", "two")},
                   "others": max(r["steady"]["others_cpu"]
                                 for results in who.values()
                                 for r in results)}
            for case, who in cases.items()}


def table_cores_nginx(rows):
    out = ["", line("server CPU ns per message", "topics", "window",
                    "one worker", "two", "two / one",
                    "of that in the kernel, one / two",
                    "sleeps per million, one / two", "preempted, one / two",
                    "messages a second, one / two",
                    "CPU server / load, one", "CPU server / load, two"),
           "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 12))
            continue
        for case, part in row["result"].items():
            ns = part["ns"]
            both = [part["one"], part["two"]]
            out.append(line(
                title + (" (busy)" if part["others"] > OTHERS else ""),
                *case.split("/"),
                *(f"{ns[side]['median']:,.0f} ({ns[side]['min']:,.0f}"
                  f"–{ns[side]['max']:,.0f})" for side in ("base", "queue")),
                ratio(ns["ratio"]),
                *(" / ".join(f"{side[key]:,.0f}" for side in both)
                  for key in ("kernel_ns_per_message", "sleeps_per_million",
                              "preempted_per_million")),
                " / ".join(few(side["delivered_per_s"]) for side in both),
                *(f"{side['server_cpu'] * 100:.0f} / "
                  f"{side['load_cpu'] * 100:.0f} %" for side in both)))
    return out
