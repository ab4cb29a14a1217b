"""Queues that are used otherwise: delays, churn, depth."""

import statistics

from .cells import cells, failure, line, mark, spread
from .runs import base_of, compare, summary, times

KINDS = ("publish", "push")         # of the row "deep"


def evaluate_lateness(row):
    queue = row["sides"]["queue"]
    result = {name: summary(times(queue, "lateness_us", name))
              for name in ("p50", "p99", "max")}
    for name in ("p99", "max"):
        result["read_" + name] = summary(times(queue, "read_lag_us", name))
    result["rate"] = summary(r["steady"]["accepted_per_s"] for r in queue)
    result["early"] = sum(r["early"] for r in queue)
    return result


def table_lateness(rows):
    out = ["", line("delayed messages", "accepted", "lateness p50", "p99",
                    "max", "early", "of that the generator: p99", "max"),
           "|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 8))
            continue
        late = [spread(result[key], "ms")
                for key in ("p50", "p99", "max", "read_p99", "read_max")]
        out.append(line(title, spread(result["rate"], "accepted_per_s"),
                        *late[:3], str(result["early"]), *late[3:]))
    return out


def evaluate_churn(row):
    sides = base_of(row), row["sides"]["queue"]
    result = {f"latency {name}": compare(*(times(r, "latency_us", name)
                                           for r in sides))
              for name in ("p50", "p99", "max")}
    result["longest gap"] = compare(*(times(r, "gap_us", "max")
                                      for r in sides))
    result["joins_per_s"] = min(r["churn"]["joins_per_s"] for r in sides[1])
    return result


def table_churn(rows):
    out = ["", line("churn", "without", "with", "with / without"),
           "|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 4))
            continue
        for key, both in result.items():
            if key != "joins_per_s":
                out.append(line(f"{title}: {key}", *cells(both, "ms")))
    return out


def evaluate_deep(row):
    """Deep against shallow within each run: rates, and CPU time."""
    runs = [r["deep"] for r in row["sides"]["queue"]]
    result = {"zone": statistics.median(r["zone"] / r["depth"] for r in runs),
              "own": statistics.median(r["own"] / r["depth"] for r in runs),
              "count": runs[0]["depth"]}
    for kind in KINDS:
        for key in ("per_s", "server_ns"):
            result[f"{kind}_{key}"] = compare(*(
                [statistics.median(r[f"{where}_{kind}"][key]) for r in runs]
                for where in ("shallow", "deep")))
    return result


def table_deep(rows):
    out = ["", line("deep queue", "at an empty one", "at a deep one",
                    "deep / empty",
                    "server CPU ns per message, empty / deep"),
           "|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 5))
            continue
        for kind in KINDS:
            cpu = result[f"{kind}_server_ns"]
            out.append(line(
                f"{title}: {kind}", *cells(result[f"{kind}_per_s"], "per_s"),
                f"{cpu['base']['median']:.0f} / {cpu['queue']['median']:.0f}"
                f" = {1 / (cpu['ratio']['median'] or 1):.2f}"))
    return out
