"""What is kept on disk."""

import statistics

from .cells import amount, failure, few, line, mark, ratio, spread
from .runs import compare, share, summary, times


def allowed(disk, queue):
    """Messages a second that the disk flushes in batches like the queue's."""
    return disk["bytes_per_s"] * queue["accepted"] / disk["queue_bytes"]


def evaluate_mode2(row):
    base, queue, disk = (row["sides"][side]
                         for side in ("base", "queue", "disk"))
    result = compare(*([r["steady"]["accepted_per_s"] for r in results]
                       for results in (base, queue)))
    most = [allowed(d, q) for d, q in zip(disk, queue)]
    result["disk"] = summary(most)
    result["disk_ratio"] = summary(
        q["steady"]["accepted_per_s"] / m for q, m in zip(queue, most))
    result["batch"] = summary(q["accepted"] / d["queue_batches"]
                              for d, q in zip(disk, queue))
    result["flushes"] = summary(times(disk, "flushes_per_s"))
    result["flush_p99"] = summary(times(disk, "p99_us"))
    for name in ("p50", "p99", "max"):
        result["answer_" + name] = compare(times(base, "answer_us", name),
                                           times(queue, "answer_us", name))
    for side, results in (("base", base), ("queue", queue)):
        for key in ("server_ns_per_message", "threads_ns_per_message"):
            result[side][key] = share(results, key)
    return result


def table_mode2(rows):
    out = ["", line("on disk before the ok", "isPersistent: 0",
                    "isPersistent: 2", "2 / 0", "the disk allows",
                    "of that", "messages a flush", "disk: flushes, p99",
                    "ok p50, 0 / 2", "ok p99, 0 / 2", "ok max, 2",
                    "CPU ns per message, 0 / 2 (of that the thread)"),
           "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 12))
            continue
        answer = [" / ".join(amount(result["answer_" + key][side]["median"],
                                    "ms") for side in ("base", "queue"))
                  for key in ("p50", "p99")]
        cpu = [result[side]["server_ns_per_message"]
               for side in ("base", "queue")]
        out.append(line(
            title, *(few(result[side]["median"])
                     for side in ("base", "queue")),
            ratio(result["ratio"]), few(result["disk"]["median"]),
            ratio(result["disk_ratio"]),
            f"{result['batch']['median']:,.0f}",
            f"{few(result['flushes']['median'])}, "
            f"{amount(result['flush_p99']['median'], 'ms')}",
            *answer, amount(result["answer_max"]["queue"]["max"], "ms"),
            f"{cpu[0]:,.0f} / {cpu[1]:,.0f} "
            f"({result['queue']['threads_ns_per_message']:,.0f})"))
    return out


def evaluate_checkpoint(row):
    result = {}
    for side, results in row["sides"].items():
        part = {name: summary(times(results, "latency_us", name))
                for name in ("p50", "p99", "p999", "max")}
        made = [c for r in results for c in r["checkpoints"]]
        part["made"] = len(made)
        for key in ("messages", "bytes", "ms"):
            part[key] = statistics.median(c[key] for c in made) if made else 0
        part["read_max"] = summary(times(results, "read_lag_us", "max"))
        result[side] = part
    if not result["made"]["made"]:
        return {"failed": "no checkpoint was made"}
    return result


def table_checkpoint(rows):
    out = ["", line("checkpoints: others' latency", "p50", "p99", "p99.9",
                    "max", "of that the generator at most", "checkpoints",
                    "messages", "bytes", "ms"),
           "|---|---|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 10))
            continue
        for side, part in result.items():
            out.append(line(
                f"{title}: {side}",
                *(spread(part[key], "ms")
                  for key in ("p50", "p99", "p999", "max", "read_max")),
                str(part["made"]), *(f"{part[key]:,.0f}" for key in
                                     ("messages", "bytes", "ms"))))
    return out


def evaluate_stall(row):
    result = {}
    for side, results in row["sides"].items():
        turns = [r["turns"] for r in results]
        part = {f"{clock} {name}": summary(times(turns, clock + "_us", name))
                for clock in ("wall", "cpu", "asleep")
                for name in ("p50", "p99", "p999", "max")}
        part["turns"] = sum(t["turns"] for t in turns)
        part["made"] = sum(len(r["checkpoints"]) for r in results)
        part["answers"] = sum(a["answer_us"]["count"] for r in results
                              for a in r.get("search", []))
        part["rate"] = summary(r["steady"]["delivered_per_s"]
                               for r in results)
        result[side] = part
    return result


def table_stall(rows):
    out = ["", line("turns of the event loop", "delivered",
                    "wall p99", "p99.9", "longest", "CPU p99", "p99.9",
                    "longest", "asleep p99.9", "longest", "turns",
                    "checkpoints", "console answers"),
           "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 13))
            continue
        for side, part in result.items():
            out.append(line(
                f"{title}: {side}", amount(part["rate"]["median"], "per_s"),
                *(spread(part[f"{clock} {key}"], "ms")
                  for clock in ("wall", "cpu", "asleep")
                  for key in ("p99", "p999", "max")
                  if (clock, key) != ("asleep", "p99")),
                *(f"{part[key]:,}" for key in ("turns", "made", "answers"))))
    return out
