// What is wrong, each with a way to what is behind it.

import { bytes, duration, number } from '../format.js';
import { html } from '../html.js';
import { t } from '../i18n/index.js';
import { link } from '../router.js';
import { errorName } from '../errors.js';
import { problems } from '../statistics.js';
import { visible } from '../text.js';

const waiting = ['Messages', '', { status: '4' }];

// Where the whole of it is.
const PLACES = {
    disk: ['Configuration'],
    full: waiting,
    nearlyFull: waiting,
    memory: ['Topics'],
    nearlyMemory: ['Topics'],
    paced: ['Configuration'],
    alone: ['Configuration'],
    noConsumers: ['Topics', '', { state: 'noConsumers' }],
    slow: ['Topics', '', { state: 'waiting' }],
    paused: ['Topics', '', { state: 'paused' }],
    stuck: ['Clients', '', { state: 'inFlight' }],
    resting: ['Clients', '', { state: 'resting' }],
    silent: ['Clients', '', { state: 'silent' }],
    dead: ['Messages', '', { status: '2' }],
};

// A problem's values as they are read.
const words = ({ error, n, count, max, seconds, free, size, keys }) => ({
    keys,
    error: error && errorName(error),
    n: number(n),
    count: number(count),
    max: number(max),
    seconds: number(seconds, 3),
    free: bytes(free),
    size: bytes(size),
});

// One of those that it is about.
function one(name, patient, now) {
    const { Topic, Id, Messages, OldestWaiting, OldestInFlight } = patient;

    return {
        text: t(`health.of.${name}`, {
            topic: visible(Topic),
            id: visible(Id ?? ''),
            n: number(Messages),
            age: duration(OldestWaiting ? now - OldestWaiting
                : OldestInFlight ?? 0),
        }),
        href: name === 'dead' ? link('Messages', Topic, { status: '2' })
            : Id === undefined ? link('Topics', Topic) : link('Clients', Id),
    };
}

function Problem({ problem, now }) {
    const { name, level, worst = [], count } = problem;
    const more = count - worst.length;
    const href = link(...PLACES[name]);

    return html`
        <li class=${`health ${level}`}>
            <a href=${href}>${t(`health.${name}`, words(problem))}</a>
            ${worst.map((patient, i) => {
                const { text, href: to } = one(name, patient, now);

                return html`
                    <span key=${i} class="patient"><a href=${to}>${text}</a>
                    </span>`;
            })}
            ${more > 0 && html`
                <span class="patient">
                    ${t('health.more', { n: number(more) })}
                </span>`}
        </li>`;
}

export function Health({ overview, health, lost }) {
    if (lost) {
        return html`<p class="health">${t('health.unknown')}</p>`;
    }

    const found = problems(overview, health);

    if (found.length === 0) {
        return html`<p class="health good">${t('health.good')}</p>`;
    }

    return html`
        <ul class="plain" aria-label=${t('health.title')}>
            ${found.map((problem) => html`
                <${Problem} key=${problem.name} problem=${problem}
                            now=${health.Time} />`)}
        </ul>`;
}
