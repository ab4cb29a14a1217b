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
 * The backlog of a topic at the end of each of its minutes: what the next one
 * began with (Before) in which something happened, or what there is now.  null:
 * nobody knows.
 */
export function backlogs(minutes, now) {
    const ends = [];
    let end = now;

    for (const { Before } of [...minutes].reverse()) {
        ends.push(end);
        end = Before === undefined ? end : Before;
    }

    return ends.reverse();
}

const PARTS = 3;
const KNOWN = 3 * PARTS;           // minutes that have to be known

// How much the backlog grows in a second, from minute a to minute b.
const slope = (a, b) => (b.Backlog - a.Backlog) / (b.Time - a.Time);

/*
 * The same over these minutes, the last of which is not over.  It is what most
 * of them say: a burst in a third of them is no growth.  null: nobody knows.
 */
export function growth(minutes) {
    const known = minutes.slice(0, -1)
        .filter(({ Backlog }) => Backlog !== null);

    if (known.length < KNOWN) {
        return null;
    }

    const at = (part) => known[Math.round(
        part * (known.length - 1) / PARTS)];
    const slopes = Array.from({ length: PARTS },
        (_, i) => slope(at(i), at(i + 1))).sort((x, y) => x - y);

    return slopes[(PARTS - 1) / 2];
}

/*
 * How long, in seconds, memory lasts, and until the bound of waiting messages
 * is reached, when the backlog grows on as it does: {memory, count}; null: it
 * does not grow, or there is no room already.
 */
export function lasts(overview, minutes) {
    const perSecond = growth(minutes);
    const messages = overview.Waiting + overview.InFlight + overview.Retrying
        + overview.Delayed + overview.Dead;

    if (perSecond === null || perSecond <= 0 || messages === 0) {
        return { memory: null, count: null };
    }

    const { Size, Free, History } = overview.Zone;
    const each = (Size - Free - History) / messages;
    const time = (room) => (room > 0 ? room / perSecond : null);

    return {
        memory: time((Free + History) / each),
        count: time(overview.WaitingMax - overview.Waiting),
    };
}

// s, of what is seen by the second
export const SPAN = 120;
const GAP = 5;                     // s without an answer

/*
 * Answers of GetOverview that are seen by the second, with one more: those that
 * are too old, or of another queue, go.
 */
export function remembered(answers, answer) {
    const last = answers[answers.length - 1];

    if (last?.StartTime !== answer.StartTime || answer.Time <= last.Time) {
        return [answer];
    }

    return [...answers.filter(({ Time }) => answer.Time - Time <= SPAN + GAP),
        answer];
}

// From when to when the last seconds until one are, or, where there is nothing
// yet, until now.
export const lastSeconds = (end, span, now = Date.now() / 1000) => [
    (end ?? now) - span, end ?? now];

// What happened in each second between them: {Time, Backlog, rates}; values are
// null where nobody asked.
export function bySecond(answers, names) {
    return answers.slice(1).map((answer, i) => ({
        Time: answer.Time,
        Backlog: answer.Waiting + answer.InFlight + answer.Retrying
            + answer.Delayed,
        ...(answer.Time - answers[i].Time > GAP
            ? rates(null, answer, names) : rates(answers[i], answer, names)),
    }));
}

// Failed deliveries: those that a message was charged with.
export const failures = ({ Failures }) => Failures.end + Failures.return
    + Failures.overdue;

const NEARLY = 0.8;                // of a limit
const BATCHES = 10;                // that wait where pacing is the reason

function limits({ Waiting, WaitingMax, Zone }) {
    const free = Zone.Free + Zone.History;
    const memory = { free, size: Zone.Size };

    return [
        Waiting >= WaitingMax
            && { level: 'bad', name: 'full', n: Waiting, max: WaitingMax },
        Waiting < WaitingMax && Waiting >= NEARLY * WaitingMax
            && { level: 'warn', name: 'nearlyFull', n: Waiting,
                max: WaitingMax },
        free < Zone.Size / 10
            && { level: 'bad', name: 'memory', ...memory },
        free >= Zone.Size / 10 && free < (1 - NEARLY) * Zone.Size
            && { level: 'warn', name: 'nearlyMemory', ...memory },
    ];
}

// Why messages wait although there are consumers.
function paced(overview, { Paced }) {
    return Paced && overview.Consumers > 0
        && overview.Waiting > BATCHES * Paced.SendCount
        && { level: 'warn', name: 'paced', n: overview.Waiting,
            count: Paced.SendCount, seconds: Paced.PushMessagesSpeed };
}

/*
 * What is wrong, the worst first: {level: bad or warn, name, of its text, and
 * its values}; of topics and clients how many, and worst: some of them.
 * health: the answer of GetHealth.
 */
export function problems(overview, health) {
    const { Disk } = overview;
    const pacing = paced(overview, health);
    const ill = (kind, name) => health[kind].Count > 0 && {
        level: 'warn',
        name,
        n: health[kind].Messages,
        count: health[kind].Count,
        worst: health[kind].Worst,
    };

    return [
        Disk.Mode > 0 && Disk.Error
            && { level: 'bad', name: 'disk', error: Disk },
        ...limits(overview),
        health.Alone?.length > 0 && { level: 'warn', name: 'alone',
            keys: health.Alone.join(', ') },
        ill('NoConsumers', 'noConsumers'),
        pacing,
        !pacing && ill('Slow', 'slow'),
        ill('Paused', 'paused'),
        ill('Stuck', 'stuck'),
        ill('Silent', 'silent'),
        ill('Resting', 'resting'),
        ill('Dead', 'dead'),
    ].filter(Boolean).sort((a, b) => (b.level === 'bad') - (a.level === 'bad'));
}

// What a list of topics, or of clients, is narrowed down to.
export const TOPIC_STATES = {
    noConsumers: (topic) => topic.Waiting > 0 && topic.Consumers === 0,
    waiting: (topic) => topic.Waiting > 0,
    inFlight: (topic) => topic.InFlight > 0,
    retrying: (topic) => topic.Retrying > 0,
    delayed: (topic) => topic.Delayed > 0,
    dead: (topic) => topic.Dead > 0,
    paused: (topic) => topic.Paused,
};

export const CLIENT_STATES = {
    inFlight: (client) => client.InFlight > 0,
    resting: (client) => client.Resting,
    silent: (client) => client.Silent,
};

export const inState = (rows, states, name) => (Object.hasOwn(states, name)
    ? rows.filter(states[name]) : rows);

// The same of a cluster: the answer of GetNodes.
export function clusterProblems({ data, cluster }) {
    const { Stream } = cluster;
    const gone = data.filter((node) => !node.There && !node.Self);
    const lacks = data.filter((node) => node.Lacks);
    const differs = data.filter((node) => node.Differs);

    return [
        cluster.Blocked && { level: 'bad', name: 'blocked',
            node: cluster.Furthest ?? '?', reason: cluster.Reason ?? '' },
        !cluster.Blocked && !cluster.Primary && { level: 'bad',
            name: 'noPrimary', reason: cluster.Reason ?? '' },
        cluster.Role === 'paused' && { level: 'bad', name: 'paused',
            reason: cluster.Reason ?? '' },
        gone.length > 0 && { level: 'warn', name: 'away',
            nodes: gone.map((node) => node.Node).join(', ') },
        Stream.Replicas > 0 && Stream.Current < Stream.Replicas
            && { level: 'warn', name: 'replicas', n: Stream.Current,
                all: Stream.Replicas },
        lacks.length > 0 && { level: 'warn', name: 'lacks',
            nodes: lacks.map((node) => node.Node).join(', ') },
        differs.length > 0 && { level: 'warn', name: 'differs',
            self: cluster.Node,
            nodes: differs.map((node) => `${node.Node} (${node.Differs})`)
                .join(', ') },
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
