// What the page works out of the queue's counters.

// Per second between two answers; null where there are not two.
export function rates(before, now, names) {
    const seconds = before ? now.Time - before.Time : 0;

    return Object.fromEntries(names.map((name) => [name,
        seconds > 0 ? Math.max(0, now[name] - before[name]) / seconds : null,
    ]));
}

function dayStart(seconds, back) {
    const date = new Date(seconds * 1000);

    date.setHours(0, 0, 0, 0);
    date.setDate(date.getDate() - back);

    return date.getTime() / 1000;
}

/*
 * Hours summed up into the last n days of the viewer's zone, the oldest first.
 * An hour belongs to the day in which it begins.
 */
export function days(hours, now, n) {
    const starts = Array.from({ length: n + 1 },
        (_, i) => dayStart(now, n - 1 - i));

    return starts.slice(0, n).map((start, i) => {
        const of = hours.filter(
            ({ Time }) => Time >= start && Time < starts[i + 1]);
        const sum = (name) => of.reduce((all, hour) => all + hour[name], 0);

        return {
            Time: start,
            Published: sum('Published'),
            Delivered: sum('Delivered'),
            Confirmed: sum('Confirmed'),
        };
    });
}

/*
 * How long, in seconds, the memory lasts when the backlog grows on as it did
 * over these minutes; null: it does not grow.
 */
export function memoryLasts(overview, minutes) {
    const known = minutes.filter(({ Backlog }) => Backlog !== null);

    if (known.length < 2) {
        return null;
    }

    const first = known[0];
    const last = known[known.length - 1];
    const perSecond = (last.Backlog - first.Backlog)
        / (last.Time - first.Time);
    const messages = overview.Waiting + overview.InFlight + overview.Retrying
        + overview.Delayed + overview.Dead;

    if (perSecond <= 0 || messages === 0) {
        return null;
    }

    const { Size, Free, History } = overview.Zone;
    const each = (Size - Free - History) / messages;
    const byMemory = (Free + History) / each / perSecond;
    const byBound = (overview.WaitingMax - overview.Waiting) / perSecond;

    return Math.max(0, Math.min(byMemory, byBound));
}

// Failed deliveries: those that a message was charged with.
export const failures = ({ Failures }) => Failures.end + Failures.return
    + Failures.overdue;

/*
 * What is wrong, the worst first: {level: bad or warn, name, of its text, and
 * its values}.  idle: the topic of the oldest waiting message has no consumer.
 */
export function problems(overview, idle) {
    const { Zone, Disk, Time } = overview;
    const free = Zone.Free + Zone.History;

    return [
        Disk.Mode > 0 && Disk.Error
            && { level: 'bad', name: 'disk', error: Disk.Error },
        overview.Waiting >= overview.WaitingMax
            && { level: 'bad', name: 'full', n: overview.WaitingMax },
        free < Zone.Size / 10
            && { level: 'bad', name: 'memory', free, size: Zone.Size },
        idle && { level: 'warn', name: 'noConsumers',
            topic: overview.OldestTopic, age: Time - overview.OldestWaiting },
        overview.Resting > 0 && { level: 'warn', name: 'resting',
            n: overview.Resting },
        overview.Dead > 0 && { level: 'warn', name: 'dead', n: overview.Dead },
    ].filter(Boolean);
}

const names = new Intl.Collator(undefined, { numeric: true });

function compare(x, y) {
    return typeof x === 'string' && typeof y === 'string'
        ? names.compare(x, y) : x - y;
}

/*
 * Rows in the order of a column, those without a value at the end; those that
 * are alike stay as they are.
 */
export function sorted(rows, column, descending) {
    const sign = descending ? -1 : 1;
    const lacks = (row) => Number((row[column] ?? null) === null);

    return [...rows].sort((a, b) => lacks(a) - lacks(b)
        || sign * compare(a[column] ?? 0, b[column] ?? 0));
}

// Rows in the order in which their ids were seen last, new ones at the end.
export function inOrder(rows, id, ids) {
    const places = new Map(ids.map((one, i) => [one, i]));
    const place = (row) => places.get(id(row)) ?? ids.length;

    return [...rows].sort((a, b) => place(a) - place(b));
}
