// What the key that signed in may do, and what all keys may; no values.

import { ask } from '../api.js';
import { Heading, Loading, Trouble } from '../components/state.js';
import { Table } from '../components/table.js';
import { Time } from '../components/time.js';
import { NOTHING } from '../format.js';
import { html } from '../html.js';
import { t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { link } from '../router.js';
import { currentAccess } from '../session.js';

const INTERVAL = 10000;            // ms

const list = (topics) => (topics.length > 0 ? topics.join(', ') : NOTHING);
const yes = (value) => t(value ? 'access.yes' : 'access.no');

function Own({ access }) {
    const rows = [
        [t('access.kind'), t(`kind.${access.Kind}`)],
        access.Kind !== 'secretKey' && [t('access.name'),
            access.Name || NOTHING],
        access.Id !== null && [t('access.id'), access.Id || NOTHING],
        [t('access.produce'), list(access.Produce)],
        [t('access.consume'), list(access.Consume)],
        [t('access.console'), t(`access.${access.Console}`)],
        [t('access.metrics'), yes(access.Metrics)],
    ];

    return html`
        <section aria-labelledby="own">
            <h2 id="own">${t('access.own')}</h2>
            <dl class="facts">
                ${rows.filter(Boolean).map(([name, value]) => html`
                    <div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
            </dl>
        </section>`;
}

function LastUse({ at }) {
    return at ? html`<${Time} at=${at} />` : t('access.never');
}

// The values of a key, in the order of the file, by when each was used.
const uses = (key) => (key.Values === 1 ? html`<${LastUse} at=${key.Last} />`
    : html`
        <ol class="plain">
            ${key.LastUse.map((at, i) => html`
                <li key=${i}>
                    ${t('access.value', { n: i + 1 })} <${LastUse} at=${at} />
                </li>`)}
        </ol>`);

const text = (name, label) => ({ name, label: t(label), class: 'name',
    cell: (key) => key[name] });

const columns = () => [
    { name: 'Name', label: t('access.name'), class: 'name',
        cell: (key) => html`
            <a href=${link('Clients', key.Name)}>${key.Name}</a>` },
    text('Produce', 'access.produce'),
    text('Consume', 'access.consume'),
    { name: 'Console', label: t('access.console'),
        cell: (key) => t(`access.${key.Console}`) },
    { name: 'Metrics', label: t('access.metrics'), descending: true,
        cell: (key) => yes(key.Metrics) },
    { name: 'Last', label: t('access.lastUse'), class: 'number',
        descending: true, cell: uses },
];

// The secret key is one of them, which may do everything.
const rowsOf = ({ data, secretKey }) => [
    { Name: 'secretKey', Produce: ['*'], Consume: ['*'], Console: 'write',
        Metrics: true, Values: 1, LastUse: [secretKey.LastUse] },
    ...data,
].map((key) => ({
    ...key,
    Produce: list(key.Produce),
    Consume: list(key.Consume),
    Last: Math.max(0, ...key.LastUse),
}));

function Keys() {
    const { data, error } = usePoll((signal) => ask('GetKeys', {}, signal), [],
        INTERVAL);

    return html`
        <section>
            <h2>${t('access.keys')}</h2>
            <${Trouble} error=${error} />
            <p class="soft">${t('access.keysIntro')}</p>
            ${data === null ? html`<${Loading} n=${4} />` : html`
                <${Table} caption=${t('access.keys')} columns=${columns()}
                          rows=${rowsOf(data)} id=${(key) => key.Name}
                          start="Name" />
                <h2>${t('access.tokens')}</h2>
                <p>
                    ${t(data.tokens ? 'access.tokensOn' : 'access.tokensOff')}
                    ${data.tokens && html`
                        ${' '}${t('access.lastUse')}: <${LastUse}
                            at=${data.tokens.LastUse} />`}
                </p>`}
        </section>`;
}

export function Access() {
    const access = currentAccess();

    return html`
        <${Heading}>${t('page.Access')}<//>
        <${Own} access=${access} />
        ${access.All && html`<${Keys} />`}`;
}
