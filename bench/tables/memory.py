"""What a consumer and a message take."""

from .cells import failure, line


def evaluate_bytes(row):
    result = row["sides"]["queue"][0]
    return {"own": result["own"] / result["count"],
            "zone": result["zone"] / result["count"],
            "count": result["count"]}


def table_memory(rows):
    out = ["", line("memory", "worker's own", "zone", "measured over"),
           "|---|---|---|---|"]
    for row in rows.values():
        result = row["result"]
        title = row["title"]
        if row["metric"] == "deep":
            title = "memory of a message of 100 bytes in a deep queue"
        if "failed" in result:
            out.append(failure(title, row, 4))
        else:
            out.append(line(title, f"{result['own']:,.0f} B",
                            f"{result['zone']:,.0f} B",
                            f"{result['count']:,}"))
    return out
