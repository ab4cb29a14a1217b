"""Figures as the text of a table."""

import statistics

from .runs import OTHERS, others, share

BUSY = 0.85         # of a core
BACKLOG = 1.1       # accepted for each delivered


def amount(value, metric):
    if metric.endswith("bytes_per_s"):
        return f"{value / 1e6:,.0f} MB/s"
    if metric == "latency":
        return f"{value:,.0f} µs"
    if metric == "ms":
        return f"{value / 1e3:,.2f} ms"
    if metric == "repair":
        return f"{value:,.1f} ms"
    return f"{value / 1e6:,.2f} M/s"


def spread(part, metric):
    low = amount(part["min"], metric).split()[0]
    high = amount(part["max"], metric).split()[0]
    return f"{amount(part['median'], metric)} ({low}–{high})"


def ratio(part):
    return f"**{part['median']:.2f}** ({part['min']:.2f}–{part['max']:.2f})"


def cells(both, metric):
    return [spread(both["base"], metric), spread(both["queue"], metric),
            ratio(both["ratio"])]


def cpu_cells(both):
    texts = []
    for side in ("base", "queue"):
        part = both[side]
        texts.append(f"{part['server_cpu'] * 100:.0f} / "
                     f"{part['load_cpu'] * 100:.0f} %")
    texts.append(" / ".join(
        f"{both[side]['server_ns_per_message']:.0f}"
        for side in ("base", "queue")) + f" = {both['cpu_ratio']:.2f}")
    return texts


def busy(both):
    """Did something else use the cores?  Then neither side had its own."""
    return any(both[side]["server_cpu"] < BUSY and both[side]["load_cpu"] < BUSY
               for side in ("base", "queue"))


def generator(both):
    """Was it the load generator that had no more time?"""
    return any(both[side]["load_cpu"] >= BUSY > both[side]["server_cpu"]
               for side in ("base", "queue"))


def backlog(results):
    """Was more accepted than could be delivered in the steady state?"""
    accepted = share(results, "accepted_per_s")
    delivered = share(results, "delivered_per_s")
    copies = statistics.median(r["delivered"] / (r["accepted"] or 1)
                               for r in results)
    return accepted * copies > delivered * BACKLOG


def few(value):
    """A rate that may be small."""
    return f"{value:,.0f}/s" if value < 1e5 else f"{value / 1e6:,.2f} M/s"


def line(*texts):
    return "| " + " | ".join(texts) + " |"


def failure(title, row, columns):
    """A row of a table that has nothing but the reason."""
    return line(title, f"FAILED: {row['result']['failed']}",
                *[""] * (columns - 2))


def mark(title, row):
    return title + (" (busy)" if others(row) > OTHERS else "")
