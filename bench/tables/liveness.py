"""What heartbeats cost, and how a reload goes."""

from .cells import failure, line
from .runs import summary


def evaluate_heartbeat(row):
    return {side: {"cpu": r["cpu_ns"] / r["seconds"] / 1e9,
                   "own": r["own"] / r["count"],
                   "zone": r["zone"] / r["count"]}
            for side, (r, *_) in row["sides"].items()}


def table_heartbeat(rows):
    out = ["", line("idle", "heartbeat", "CPU", "worker's own", "zone"),
           "|---|---|---|---|---|"]
    for row in rows.values():
        result = row["result"]
        if "failed" in result:
            out.append(failure(row["title"], row, 5))
            continue
        for side, name in (("none", "none"), ("heartbeat", "30 s")):
            part = result[side]
            out.append(line(row["title"], name,
                            f"{part['cpu'] * 100:.2f} %",
                            f"{part['own']:,.0f} B",
                            f"{part['zone']:,.0f} B"))
    return out


def evaluate_reload(row):
    results = row["sides"]["queue"]
    return {
        "rate": summary(r["away"] / r["seconds"] for r in results),
        "most": summary(r["most"] * 10 for r in results),
        "seconds": summary(r["seconds"] for r in results),
        "off": summary(r["off"]["max"] / 1e3 for r in results),
        "again": summary(r["again"]["p99"] / 1e3 for r in results),
        "again_max": summary(r["again"]["max"] / 1e3 for r in results),
        "before": summary(r["late_before"]["p50"] / 1e3 for r in results),
        "late": summary(r["late"]["p50"] / 1e3 for r in results),
        "late_p99": summary(r["late"]["p99"] / 1e3 for r in results),
        "sent": sum(r["sent"] for r in results),
        "twice": sum(r["twice"] for r in results),
    }


def table_reload(rows):
    out = ["", line("reload", "sent away in", "a second", "the most of 100 ms",
                    "furthest from even", "back after, p99", "at most",
                    "messages", "pushed again", "late before, p50",
                    "meanwhile, p50", "p99"),
           "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows.values():
        result = row["result"]
        if "failed" in result:
            out.append(failure(row["title"], row, 12))
            continue
        out.append(line(row["title"],
                        f"{result['seconds']['median']:.2f} s",
                        f"{result['rate']['median']:,.0f}",
                        f"{result['most']['max']:,.0f}/s",
                        f"{result['off']['max']:,.0f} ms",
                        f"{result['again']['median']:,.1f} ms",
                        f"{result['again_max']['max']:,.1f} ms",
                        f"{result['sent']:,}", f"{result['twice']:,}",
                        f"{result['before']['median']:.2f} ms",
                        f"{result['late']['median']:.2f} ms",
                        f"{result['late_p99']['median']:.1f} ms"))
    return out
