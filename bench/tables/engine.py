"""The engine alone."""

from .cells import amount, failure, line, ratio, spread
from .runs import OTHERS, by_distance, quiet, summary, times


def evaluate_repair(row):
    return {side: {key: summary(r[key] for r in results)
                   for key in ("last_ms", "ms_per_million")}
            for side, results in row["sides"].items()}


def table_repair(rows):
    out = ["", line("repair", "messages", "topics", "stand still",
                    "per million"),
           "|---|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 5))
            continue
        for side, part in row["result"].items():
            messages, topics = side.split("/")
            out.append(line(title, f"{int(messages):,}", topics,
                            spread(part["last_ms"], "repair"),
                            spread(part["ms_per_million"], "repair")))
    return out


def evaluate_capacity(row):
    return {side: results[-1] for side, results in row["sides"].items()}


def table_capacity(rows):
    out = ["", line("capacity beside survivors", "MiB", "worst", "where",
                    "median", "below 0.85", "a large message: lock held",
                    "history dropped for it / needed", "dropped in vain",
                    "topics in 8 MiB"),
           "|---|---|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 10))
            continue
        for side, part in row["result"].items():
            out.append(line(title, side, f"**{part['worst']:.2f}**",
                            part["pattern"], f"{part['median']:.2f}",
                            f"{part['below']} of {part['patterns']}",
                            f"{part['large_ms']:.2f} ms",
                            f"{part['large_dropped']:.2f}",
                            f"{part['large_vain']:,}",
                            f"{part['topics']:,}"))
    return out


def evaluate_cores(row):
    """Sides are BATCH/WORK/TOPICS/WHO; each run is compared with the one
    worker of all runs, as these are of the same speed wherever they are."""
    cases = {}
    for side, results in row["sides"].items():
        case, who = side.rsplit("/", 1)
        cases.setdefault(case, {})[who] = results
    result = {}
    for case, who in cases.items():
        parts = {**by_distance(who["two"]), "apart": who["apart"],
                 "one": who["one"]}
        parts = {name: quiet(results) for name, results in parts.items()}
        busy = max(r["whole"]["others_cpu"]
                   for results in parts.values() for r in results)
        one = summary(times(parts.pop("one"), "confirmed_per_s"))
        part = result[case] = {"one": one, "others": busy}
        for name, results in parts.items():
            if results:
                part[name] = {
                    "ratio": summary(r["confirmed_per_s"] / one["median"]
                                     for r in results),
                    **{key: summary(times(results, key))
                       for key in ("move_ns", "sleeps_per_million",
                                   "preempted_per_million")}}
    return result


def cell_cores(part):
    """Two workers, while their cores were so far from each other."""
    if part is None:
        return ""
    return (f"{ratio(part['ratio'])}; {part['move_ns']['median']:.0f} ns; "
            f"{part['sleeps_per_million']['median']:,.0f} / "
            f"{part['preempted_per_million']['median']:,.0f}")


def table_cores(rows):
    what = "; a line moves in; sleeps / preempted per million messages"
    out = ["", line("the engine on two cores", "batch",
                    "other work for a message", "topics", "one worker",
                    "two / one, near" + what, "far",
                    "two engines / one"),
           "|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 8))
            continue
        for case, part in row["result"].items():
            batch, work, topics = case.split("/")
            busy = " (busy)" if part["others"] > OTHERS else ""
            out.append(line(title + busy, batch, f"{int(work):,} ns",
                            "one for all" if topics == "common"
                            else "one each",
                            spread(part["one"], "rate"),
                            cell_cores(part.get("near")),
                            cell_cores(part.get("far")),
                            ratio(part["apart"]["ratio"])))
    return out


def evaluate_recover(row):
    result = {side: {key: summary(times(results, key))
                     for key in ("messages_per_s", "seconds",
                                 "bytes_per_message", "checkpoint_ms")}
              for side, results in row["sides"].items()}
    for side, results in row["sides"].items():
        for key in ("p50", "p99", "max"):
            result[side]["slice_" + key] = summary(
                times(results, "slice_us", key))
    return result


def table_recover(rows):
    out = ["", line("recovery", "messages a second", "seconds",
                    "bytes on disk per message", "written in",
                    "CPU time of a slice p50", "p99", "max"),
           "|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 8))
            continue
        for side, part in row["result"].items():
            slices = [""] * 4
            if side == "checkpoint":
                slices = [amount(part["checkpoint_ms"]["median"], "repair"),
                          *(amount(part["slice_" + key]["median"], "ms")
                            for key in ("p50", "p99", "max"))]
            out.append(line(f"{title}: {side}",
                            spread(part["messages_per_s"], "per_s"),
                            f"{part['seconds']['median']:.2f}",
                            f"{part['bytes_per_message']['median']:,.0f}",
                            *slices))
    return out
