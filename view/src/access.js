// What a key may do: the answer of GetAccess.  The server decides each time;
// this is for offering nothing that it would refuse.

// A "*" at the end of a topic stands for any continuation.
export const covers = (topics, name) => topics.some((topic) => (
    topic.endsWith('*') ? name.startsWith(topic.slice(0, -1))
        : name === topic));

// What is about a topic is seen, or changed, by who may use it.
const touches = (access, topic) => covers(access.Produce, topic)
    || covers(access.Consume, topic);

export const mayChangeAny = (access) => access.Console === 'write';

export const mayChange = (access, topic) => mayChangeAny(access)
    && touches(access, topic);

// To where this page may send, and what it may listen to.
export const sendTopics = (access) => (mayChangeAny(access)
    ? access.Produce : []);

// An id that is empty is nobody's.
export const listenTopics = (access) => (access.Id === '' ? []
    : access.Consume);

// A topic to begin with.
export function firstTopic(topics) {
    const [first = ''] = topics;

    return covers(topics, 'hello') ? 'hello' : first.replace(/\*$/, 'hello');
}

// What concerns the whole cluster.
export const mayStepDown = (access) => mayChangeAny(access) && access.All;

export function mayOpen(access, page) {
    switch (page) {
    case 'Console':
    case 'Configuration':
        return access.All;
    case 'Cluster':
        return access.All && access.Cluster === true;
    case 'Send':
        return sendTopics(access).length + listenTopics(access).length > 0;
    default:
        return true;
    }
}

// Where a route leads to: who may not see the overview begins with topics.
export const placeOf = (access, route) => (
    route.page === 'Console' && !mayOpen(access, 'Console')
        ? { page: 'Topics', parameter: '', query: {} } : route);

// The name of a page's title.
export function titleOf(access, page) {
    if (page !== 'Send' || !mayOpen(access, page)) {
        return `page.${page}`;
    }

    if (listenTopics(access).length === 0) {
        return 'send.title';
    }

    return sendTopics(access).length === 0 ? 'listen.title' : 'page.Send';
}
