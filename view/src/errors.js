// What the server says of requests, and the system of files, in the page's
// language.

import { has, t } from './i18n/index.js';

// Where a part of the words is a name or a value.
const PATTERNS = [
    [/^not in flight with this consumer/, 'inFlight'],
    [/^not stored: (?<why>.*)$/s, 'notStored'],
    [/^(?<name>\w+) must be .*, not "(?<value>.*)"$/s, 'value'],
    [/^(?<name>\w+) must be /, 'name'],
    [/^(?<name>\w+) is required$/, 'missing'],
    [/^unknown parameter "(?<name>.*?)"/s, 'parameter'],
    [/^(?<name>topic|message|client id) is not valid UTF-8$/, 'text'],
    [/^no connection to NATS: (?<why>.*)$/s, 'nats'],
    [/^the stream does not acknowledge: (?<why>.*)$/s, 'unacknowledged'],
    [/^the stream: (?<why>.*)$/s, 'stream'],
    [/^no stream is made from this node's files before /, 'unheard'],
    [/^no stream is made from this node's files, .* node (?<node>\d+) /,
        'seed'],
];

const words = (text) => text.replace(/[.。]$/, '');

// What is named in a text; why may be a text of its own.
const named = ({ why, ...rest } = {}) => ({ ...rest,
    ...(why && { why: words(serverText(why)) }) });

// A text of the server; what is not known is told as it came.
export function serverText(text) {
    if (has(`server.${words(text)}`)) {
        return t(`server.${words(text)}`);
    }

    for (const [pattern, name] of PATTERNS) {
        const found = pattern.exec(text);

        if (found) {
            return t(`server.of.${name}`, named(found.groups));
        }
    }

    return text;
}

// problem: of clusterProblems()
export const clusterText = (problem) => t(`cluster.${problem.name}`,
    { ...problem, reason: problem.reason && serverText(problem.reason) });

// disk: of GetOverview
export function errorName({ Error: text, ErrorCode: code }) {
    return has(`errno.${code}`) ? t(`errno.${code}`) : text;
}
