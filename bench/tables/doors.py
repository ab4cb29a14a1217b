"""Clients without a WebSocket: their rates, and what waiting takes."""

import statistics

from .cells import failure, few, line, mark, ratio
from .runs import OTHERS, share, summary

# what each is compared with, which of its rates, what it is called
SIDES = {
    "ws": ("ws", "delivered_per_s", "WebSocket, confirm: socket"),
    "events": ("ws", "delivered_per_s", "events, confirm: socket"),
    "pull": ("ws", "delivered_per_s",
             "pulls of 100, confirmed with the next one"),
    "pull-apart": ("ws", "delivered_per_s",
                   "pulls of 100, confirmed between them"),
    "ws-ack": ("ws-ack", "delivered_per_s", "WebSocket, confirm: ack"),
    "events-ack": ("ws-ack", "delivered_per_s", "events, confirm: ack"),
    "ws-ingest": ("ws-ingest", "accepted_per_s",
                  "WebSocket, nobody consumes"),
    "batch": ("ws-ingest", "accepted_per_s", "arrays of 100"),
    "batch-whole": ("ws-ingest", "accepted_per_s",
                    "arrays of 100, header buffers of 16 kB"),
    "batch-lines": ("ws-ingest", "accepted_per_s", "100 lines (NDJSON)"),
    "batch-lines-whole": ("ws-ingest", "accepted_per_s",
                          "100 lines, header buffers of 16 kB"),
}


def evaluate_doors(row):
    """A run is compared with the WebSocket of the same round."""
    result = {}
    for side, results in row["sides"].items():
        base, metric, name = SIDES[side]
        rates = [r["steady"][metric] for r in results]
        bases = [r["steady"][metric] for r in row["sides"].get(base, [])]
        part = result[side] = {
            "name": name, "rate": summary(rates), "base": SIDES[base][2],
            "others": statistics.median(r["whole"].get("others_cpu", 0)
                                        for r in results),
            **{key: share(results, key)
               for key in ("server_cpu", "load_cpu", "server_ns_per_message",
                           "kernel_ns_per_message")}}
        if bases and side != base:
            part["ratio"] = summary(a / b for a, b in zip(rates, bases))
            part["cpu_ratio"] = summary(
                b["steady"]["server_ns_per_message"]
                / (a["steady"]["server_ns_per_message"] or 1)
                for a, b in zip(results, row["sides"][base]))
    return result


def table_doors(rows):
    out = ["", line("doors", "messages a second", "of", "ratio",
                    "CPU server / load", "ratio by server CPU",
                    "server CPU ns per message (of that the kernel)"),
           "|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        if "failed" in row["result"]:
            out.append(failure(mark(name, row), row, 7))
            continue
        for part in row["result"].values():
            low, median, high = (few(part["rate"][key])
                                 for key in ("min", "median", "max"))
            busy = " (busy)" if part["others"] > OTHERS else ""
            compared = "ratio" in part
            out.append(line(
                part["name"] + busy,
                f"{median} ({low.split()[0]}–{high.split()[0]})",
                part["base"] if compared else "",
                ratio(part["ratio"]) if compared else "",
                f"{part['server_cpu'] * 100:.0f} / "
                f"{part['load_cpu'] * 100:.0f} %",
                ratio(part["cpu_ratio"]) if compared else "",
                f"{part['server_ns_per_message']:,.0f} "
                f"({part['kernel_ns_per_message']:,.0f})"))
    return out


WAITING = {
    "consumer": "consumer over a WebSocket",
    "events": "stream of events",
    "pull": "pull",
}


def evaluate_doors_idle(row):
    return {side: {"count": r["count"],
                   "cpu": r["cpu_ns"] / r["seconds"] / 1e9,
                   "own": r["own"] / r["count"],
                   "zone": r["zone"] / r["count"]}
            for side, (r, *_) in row["sides"].items()}


def table_doors_idle(rows):
    out = ["", line("waiting", "worker's own", "zone", "CPU",
                    "measured over"),
           "|---|---|---|---|---|"]
    for name, row in rows.items():
        if "failed" in row["result"]:
            out.append(failure(name, row, 5))
            continue
        for side, part in row["result"].items():
            out.append(line(WAITING[side], f"{part['own']:,.0f} B",
                            f"{part['zone']:,.0f} B",
                            f"{part['cpu'] * 100:.2f} %",
                            f"{part['count']:,}"))
    return out
