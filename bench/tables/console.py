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
    results = row["sides"]["queue"]
    return {page: summary(ms for r in results for ms in r["pages"][page])
            for page in results[0]["pages"]}


def table_page(rows):
    out = ["", line("page", "until its data is there"), "|---|---|"]
    for name, row in rows.items():
        title = f"{name}: {row['title']}"
        if "failed" in row["result"]:
            out.append(failure(title, row, 2))
            continue
        for page, ms in row["result"].items():
            out.append(line(f"{title}: {page}",
                            f"{ms['median']:.0f} ms ({ms['min']:.0f}"
                            f"–{ms['max']:.0f})"))
    return out
