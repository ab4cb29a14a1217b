"""Questions meanwhile, and the console page."""

from .cells import amount, failure, line, mark, spread
from .runs import summary, times


def evaluate_search(row):
    result = {}
    for side, results in row["sides"].items():
        part = {name: summary(times(results, "latency_us", name))
                for name in ("p50", "p99", "p999", "max")}
        asked = [a for r in results for a in r.get("search", [])]
        part["answers"] = sum(a["answer_us"]["count"] for a in asked)
        part["longest"] = max((a["answer_us"]["max"] for a in asked),
                              default=0)
        part["read_max"] = summary(times(results, "read_lag_us", "max"))
        result[side] = part
    return result


def table_search(rows):
    out = ["", line("search: others' latency", "p50", "p99", "p99.9", "max",
                    "of that the generator at most", "answers", "the longest"),
           "|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 8))
            continue
        for side, part in result.items():
            out.append(line(
                f"{title}: {side}",
                *(spread(part[key], "ms")
                  for key in ("p50", "p99", "p999", "max", "read_max")),
                f"{part['answers']:,}", amount(part["longest"], "ms")))
    return out


def evaluate_page(row):
    views = {}
    for result in row["sides"]["queue"]:
        for view, looks in result["pages"].items():
            views.setdefault(view, []).extend(looks)
    return {view: {"ms": summary(look["ms"] for look in looks),
                   "wall": summary(look["wall"] for look in looks),
                   "cpu": summary(look["cpu"] for look in looks)}
            for view, looks in views.items()}


def table_page(rows):
    out = ["", line("page", "until its data is there", "longest turn, wall",
                    "CPU"), "|---|---|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 4))
            continue
        for view, part in row["result"].items():
            ms = part["ms"]
            out.append(line(f"{title}: {view}",
                            f"{ms['median']:.0f} ms ({ms['min']:.0f}"
                            f"–{ms['max']:.0f})",
                            spread(part["wall"], "ms"),
                            spread(part["cpu"], "ms")))
    return out
