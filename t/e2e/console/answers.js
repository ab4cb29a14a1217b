/*
 * What a queue in this test cannot be, as its server would tell it: each kind
 * of trouble at once, and a cluster of three.
 */
"use strict";

const TOPIC = { Topic: "orders", Messages: 12, Consumers: 1 };
const CLIENT = { Topic: "orders", Id: "pod-1", Connection: "1-1",
                 Role: "consumer", InFlight: 1, OldestInFlight: 151.2 };

const kind = (one) => ({ Count: 1, Messages: 12, Worst: [one] });

function ill(Time) {
    const topic = kind({ ...TOPIC, OldestWaiting: Time - 90 });

    return { Time, Paced: null, Alone: ["isCluster"], NoConsumers: topic,
             Slow: topic, Dead: topic, Paused: topic, Stuck: kind(CLIENT),
             Resting: kind(CLIENT), Silent: kind(CLIENT) };
}

/* A queue whose disk is full, and that has little room. */
const poor = (overview) => ({ ...overview, Waiting: 90, WaitingMax: 100,
    Zone: { Size: 1000, Free: 50, History: 10 },
    Disk: { ...overview.Disk, Mode: 2, Error: "No space left on device",
            ErrorCode: 28 } });

/* The lines of all that, the worst first: {name, values, to}. */
const LINES = [
    { name: "disk", values: {}, to: "Configuration" },
    { name: "memory", values: {}, to: "Topics" },
    { name: "nearlyFull", values: { n: 90, max: 100 },
      to: "Messages?status=4" },
    { name: "alone", values: { keys: "isCluster" }, to: "Configuration" },
    { name: "noConsumers", values: { count: 1 },
      to: "Topics?state=noConsumers" },
    { name: "slow", values: { count: 1 }, to: "Topics?state=waiting" },
    { name: "paused", values: { count: 1 }, to: "Topics?state=paused" },
    { name: "stuck", values: { count: 1 }, to: "Clients?state=inFlight" },
    { name: "silent", values: { count: 1 }, to: "Clients?state=silent" },
    { name: "resting", values: { count: 1 }, to: "Clients?state=resting" },
    { name: "dead", values: { n: 12 }, to: "Messages?status=2" },
];

const node = (number, changes) => ({
    Node: "queue-" + number, Address: `10.0.0.${number}:8012`,
    Role: "standby", Self: false, There: true,
    Heard: Math.floor(Date.now() / 1000), Epoch: 7, Entries: 4711, Lag: 0,
    LagBytes: 0, Lacks: false, Differs: null, ...changes,
});

const STREAM = { Server: "10.0.0.2:4222", Leader: "queue-1", Replicas: 3,
                 Current: 3, Last: 4711, Messages: 523, Bytes: 1048576 };

/* GetNodes: all is well, or something is wrong. */
const nodes = (all, cluster) => ({ code: 0, data: all, cluster: {
    Node: "queue-1", Role: "primary", Since: 1795371000, Primary: "queue-1",
    Epoch: 7, Blocked: false, Furthest: null, Reason: null, Stream: STREAM,
    Takeovers: 2, LastTakeovers: [
        { Time: 1795371000, Epoch: 7, Node: "queue-1", Lasted: 1.4,
          Why: "the one before was not heard" },
        { Time: 1795370000, Epoch: 6, Node: "queue-2", Lasted: 0,
          Why: null },
    ], ...cluster } });

const SELF = node(1, { Self: true, Role: "primary" });

const WELL = nodes([SELF, node(2), node(3)]);
const DIFFERENT = nodes([SELF, node(2), node(3, { Differs: "prefetch" })]);
const GONE = nodes([SELF, node(2), node(3, { There: false, Lag: 12 })],
    { Stream: { ...STREAM, Current: 2 } });
const NOBODY = nodes([{ ...SELF, Role: "standby" }, node(2), node(3)],
    { Role: "standby", Primary: null, Reason: "no primary is heard" });

module.exports = { DIFFERENT, GONE, LINES, NOBODY, WELL, ill, poor };
