"""Two workers."""

from .cells import failure, few, line, mark, ratio
from .runs import (
    OTHERS, base_of, by_distance, compare, quiet, share, summary, times)


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


NGINX_KEYS = ("server_ns_per_message", "kernel_ns_per_message",
              "sleeps_per_million", "preempted_per_million",
              "delivered_per_s", "server_cpu", "load_cpu")


def evaluate_cores_nginx(row):
    """Sides are TOPICS/WINDOW/WHO; runs with cores that are as near to each
    other are compared."""
    cases = {}
    for side, results in row["sides"].items():
        case, who = side.rsplit("/", 1)
        for distance, some in by_distance(results).items():
            if some:
                some = quiet(some)
                cases.setdefault(f"{case}/{distance}", {})[who] = {
                    "runs": len(some),
                    "others": max(r["whole"]["others_cpu"] for r in some),
                    "ns": summary(r["steady"]["server_ns_per_message"]
                                  for r in some),
                    **{key: share(some, key) for key in NGINX_KEYS}}
    return cases


def cell_ns(part):
    ns = part["ns"]
    return (f"{ns['median']:,.0f} ({ns['min']:,.0f}–{ns['max']:,.0f}; "
            f"{part['runs']})")


def table_cores_nginx(rows):
    out = ["", line("server CPU ns per message", "topics", "window", "cores",
                    "one worker (lowest–highest; runs)", "two", "two / one",
                    "of that in the kernel, one / two",
                    "sleeps per million, one / two", "preempted, one / two",
                    "messages a second, one / two",
                    "CPU server / load, one", "CPU server / load, two"),
           "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 13))
            continue
        for case, part in row["result"].items():
            busy = any(side["others"] > OTHERS for side in part.values())
            first = line(title + (" (busy)" if busy else ""),
                         *case.replace("@", " at ").split("/"))[:-1]
            if len(part) < 2:
                alone = [cell_ns(part[who]) if who in part else ""
                         for who in ("one", "two")]
                out.append(first + line(*alone, *[""] * 7))
                continue
            both = [part["one"], part["two"]]
            quotient = both[1]["ns"]["median"] / both[0]["ns"]["median"]
            out.append(first + line(
                *(cell_ns(side) for side in both), f"**{quotient:.2f}**",
                *(" / ".join(f"{side[key]:,.0f}" for side in both)
                  for key in NGINX_KEYS[1:4]),
                " / ".join(few(side["delivered_per_s"]) for side in both),
                *(f"{side['server_cpu'] * 100:.0f} / "
                  f"{side['load_cpu'] * 100:.0f} %" for side in both)))
    return out
