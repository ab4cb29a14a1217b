"""One queue on three nodes, beside the same queue alone."""

from .cells import amount, failure, few, line, mark, ratio
from .runs import compare, share, summary, times


def each(results, key):
    """ns of a message: CPU time over the whole run."""
    return summary(r[key] / r["accepted"] for r in results)


def evaluate_cluster(row):
    base, queue = row["sides"]["base"], row["sides"]["queue"]
    result = compare(*([r["steady"]["accepted_per_s"] for r in results]
                       for results in (base, queue)))
    for name in ("p50", "p99"):
        result["answer_" + name] = compare(times(base, "answer_us", name),
                                           times(queue, "answer_us", name))
    for side, results in (("base", base), ("queue", queue)):
        result[side]["cpu"] = share(results, "server_ns_per_message")
    for key in ("nats_ns", "standbys_ns"):
        result[key] = each(queue, key)
    return result


def table_cluster(rows):
    out = ["", line("one queue on three nodes", "alone", "cluster",
                    "cluster / alone", "ok p50, alone / cluster", "ok p99",
                    "CPU ns per message: alone / primary", "two standbys",
                    "three nats-servers"),
           "|---|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        # what the cluster has beside the primary is no disturbance
        title = mark(f"{name}: {row['title']}",
                     {"sides": {"base": row["sides"]["base"]}})
        if "failed" in result:
            out.append(failure(title, row, 9))
            continue
        answer = [" / ".join(amount(result["answer_" + key][side]["median"],
                                    "ms") for side in ("base", "queue"))
                  for key in ("p50", "p99")]
        out.append(line(
            title, *(few(result[side]["median"])
                     for side in ("base", "queue")),
            ratio(result["ratio"]), *answer,
            f"{result['base']['cpu']:,.0f} / {result['queue']['cpu']:,.0f}",
            *(f"{result[key]['median']:,.0f}"
              for key in ("standbys_ns", "nats_ns"))))
    return out
