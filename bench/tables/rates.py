"""Floor and queue, or the queue and itself: rates, latency, CPU time."""

from .cells import (
    backlog, busy, cells, cpu_cells, failure, generator, line, mark)
from .runs import base_of, compare, share, times

LATENCIES = ("p50", "p90", "p99")


def evaluate_rate(row):
    metric = row["metric"]
    sides = {"base": base_of(row), "queue": row["sides"]["queue"]}
    both = compare(*([r["steady"][metric] for r in results]
                     for results in sides.values()))
    for side, results in sides.items():
        for key in ("server_cpu", "load_cpu", "server_ns_per_message",
                    "threads_ns_per_message"):
            both[side][key] = share(results, key)
    both["cpu_ratio"] = (both["base"]["server_ns_per_message"]
                         / (both["queue"]["server_ns_per_message"] or 1))
    return both


def table_rates(rows):
    out = [line("row", "floor", "queue", "queue / floor",
                "CPU server / load, floor", "CPU server / load, queue",
                "server CPU ns per message, floor / queue"),
           "|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        if not row["metric"].endswith("_per_s") or "floor" not in row["sides"]:
            continue
        result = row["result"]
        title = f"{name}: {row['title']}"
        if "failed" in result:
            out.append(line(title, f"FAILED: {result['failed']}",
                            "", "", "", "", ""))
            continue
        if busy(result):
            title += " (busy)"
        if generator(result):
            title += " (generator)"
        if row["metric"] != "accepted_per_s" and backlog(row["sides"]["queue"]):
            title += " (backlog)"
        out.append(line(title, *cells(result, row["metric"]),
                        *cpu_cells(result)))
    return out


def table_pairs(rows):
    out = ["", line("the queue and itself", "without", "with", "with / "
                    "without", "server CPU ns per message, without / with"),
           "|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 5))
        else:
            out.append(line(title, *cells(result, row["metric"]),
                            cpu_cells(result)[-1]))
    return out


def evaluate_latency(row):
    queue = row["sides"]["queue"]
    return {name: compare(times(base_of(row), "latency_us", name),
                          times(queue, "latency_us", name))
            for name in LATENCIES}


def table_latency(name, row):
    result = row["result"]
    out = ["", f"Latency, {row['title']}, from the time when a message was "
           "due to be sent:", "",
           line("quantile", "floor", "queue", "queue / floor"),
           "|---|---|---|---|"]
    if "failed" in result:
        return out + [line(name, f"FAILED: {result['failed']}", "", "")]
    return out + [line(quantile, *cells(result[quantile], "latency"))
                  for quantile in LATENCIES]
