"""Two workers."""

from .cells import failure, line, mark, ratio
from .runs import base_of, compare, times


def evaluate_workers(row):
    """One worker and two; the lock is a part of both."""
    sides = base_of(row), row["sides"]["queue"]
    return {key: compare(*(times(r, key) for r in sides))
            for key in ("instructions", "lock")}


def table_workers(rows):
    out = ["", line("instructions per message", "one worker", "two",
                    "two / one", "of these for the lock, one / two"),
           "|---|---|---|---|---|"]
    for name, row in rows.items():
        result = row["result"]
        title = mark(f"{name}: {row['title']}", row)
        if "failed" in result:
            out.append(failure(title, row, 5))
            continue
        count = result["instructions"]
        lock = result["lock"]
        out.append(line(
            title, *(f"{count[side]['median']:,.0f} ({count[side]['min']:,.0f}"
                     f"–{count[side]['max']:,.0f})"
                     for side in ("base", "queue")),
            ratio(count["ratio"]),
            " / ".join(f"{lock[side]['median']:,.1f}"
                       for side in ("base", "queue"))))
    return out
