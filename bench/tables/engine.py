"""The engine alone."""

from .cells import amount, failure, line, ratio, spread
from .runs import summary, times


def evaluate_repair(row):
    return {side: {key: summary(r[key] for r in results)
                   for key in ("last_ms", "ms_per_million")}
            for side, results in row["sides"].items()}


def table_repair(rows):
    out = ["", line("repair", "messages", "stand still", "per million"),
           "|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 4))
            continue
        for side, part in row["result"].items():
            out.append(line(title, f"{int(side):,}",
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
    """Sides are BATCH/WORK/TOPICS/WHO; ratios are those of each run."""
    cases = {}
    for side, results in row["sides"].items():
        case, who = side.rsplit("/", 1)
        cases.setdefault(case, {})[who] = results
    result = {}
    for case, who in cases.items():
        one, two, apart = (times(who[key], "confirmed_per_s")
                           for key in ("one", "two", "apart"))
        result[case] = {
            "one": summary(one),
            "two": summary(b / a for a, b in zip(one, two)),
            "apart": summary(b / a for a, b in zip(one, apart)),
            **{key: summary(times(who["two"], key))
               for key in ("sleeps_per_million", "preempted_per_million")}}
    return result


def table_cores(rows):
    out = ["", line("the engine on two cores", "batch",
                    "other work for a message", "topics", "one worker",
                    "two / one", "two engines / one",
                    "two: sleeps / preempted per million messages"),
           "|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 8))
            continue
        for case, part in row["result"].items():
            batch, work, topics = case.split("/")
            out.append(line(title, batch, f"{int(work):,} ns",
                            "one for all" if topics == "common"
                            else "one each",
                            spread(part["one"], "rate"), ratio(part["two"]),
                            ratio(part["apart"]),
                            " / ".join(f"{part[key]['median']:,.0f}" for key in
                                       ("sleeps_per_million",
                                        "preempted_per_million"))))
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
