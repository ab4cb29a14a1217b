// What belongs to a topic: who is connected to it, its dead messages, and what
// passes through it now.

import { ask } from '../api.js';
import { Chart } from '../components/chart.js';
import { Text } from '../components/data.js';
import { Table } from '../components/table.js';
import { Time } from '../components/time.js';
import { NOTHING, duration, number, time } from '../format.js';
import { html, useRef } from '../html.js';
import { language, t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { link } from '../router.js';
import { SPAN, bySecond, remembered } from '../statistics.js';
import { visible } from '../text.js';

const CLIENTS = 10;                // of each role
const DEAD = 5;
const PREVIEW = 120;               // bytes
const INTERVAL = 4000;             // ms

async function load(topic, signal) {
    const lists = await Promise.all(['consumer', 'producer'].map(
        (role) => ask('GetClientList', { topic, role, limit: CLIENTS },
            signal)));

    return { list: lists.flatMap(({ data }) => data),
        more: lists.some(({ next }) => next !== null) };
}

// These few are in the server's order.
const column = (name, label, cell, kind) => ({ name, label, cell, class: kind,
    fixed: true });

const clientColumns = () => [
    column('Id', t('client.id'), (client) => html`
        <a href=${link('Clients', client.Id)}>${visible(client.Id)}</a>`,
    'name'),
    column('Role', t('client.role'), (client) => t(`role.${client.Role}`)),
    column('Ip', t('client.address'), (client) => client.Ip),
    column('Messages', t('client.messages'),
        (client) => number(client.Messages), 'number'),
    column('InFlight', t('count.InFlight'),
        (client) => number(client.InFlight), 'number'),
    column('OldestInFlight', t('client.oldest'),
        (client) => (client.OldestInFlight === null ? NOTHING
            : duration(client.OldestInFlight)), 'number'),
    column('State', t('client.state'), (client) => (client.Resting
        ? t('client.resting') : client.Silent ? t('client.silent') : NOTHING)),
];

export function TopicClients({ topic }) {
    const { data } = usePoll((signal) => load(topic, signal), [topic],
        INTERVAL);

    if (data === null) {
        return null;
    }

    return html`
        <h2>${t('page.Clients')}</h2>
        ${data.list.length === 0 ? html`<p class="soft">${t('clients.none')}</p>`
            : html`
            <${Table} caption=${t('topic.clients')} columns=${clientColumns()}
                      rows=${data.list} id=${(client) => client.Connection} />`}
        ${data.more && html`
            <p><a href=${link('Clients', topic)}>${t('topic.allClients')}</a>
            </p>`}`;
}

// at(code): the address of a message
const deadColumns = (at) => [
    column('MessageCode', 'MessageCode', ({ MessageCode: code }) => html`
        <a href=${at(code)} aria-label=${t('message.show', { code })}>
            ${code}
        </a>`, 'code'),
    column('DeadTime', t('message.died'), (message) => html`
        <${Time} at=${message.DeadTime} />`, 'number'),
    column('Preview', t('message.preview'), (message) => html`
        <${Text} text=${message.Preview} />`, 'preview'),
    column('Attempts', t('message.attempts'),
        (message) => number(message.Attempts), 'number'),
    column('LastErrorCode', t('message.lastError'),
        ({ LastErrorCode: code }) => (code ? t(`failure.${code}`) : NOTHING),
        'wide'),
];

// dead: how many there are
export function TopicDead({ topic, dead }) {
    const { data } = usePoll((signal) => (dead > 0 ? ask('GetMessageList',
        { topic, status: 2, limit: DEAD, preview: PREVIEW }, signal)
        : { data: [] }), [topic, dead], INTERVAL);
    const at = (message) => link('Messages', '', { topic, status: '2',
        ...(message && { message }) });

    if (dead === 0 || data === null) {
        return null;
    }

    return html`
        <h2>${t('topic.dead', { n: number(dead) })}</h2>
        <${Table} caption=${t('count.Dead')} columns=${deadColumns(at)}
                  rows=${data.data} id=${(message) => message.MessageCode}
                  class="messages" />
        <p><a href=${at()}>${t('topic.allDead')}</a></p>`;
}

const RATES = ['Published', 'Delivered', 'Confirmed'];
const COLOURS = { Published: 'in', Delivered: 'out', Confirmed: 'done' };
const DASHES = { Delivered: [6, 4] };

// What passes through since the page was opened, and the backlog beside it.
export function TopicLive({ topic }) {
    const answers = useRef([]);

    if (answers.current[answers.current.length - 1]?.Time !== topic.Time) {
        answers.current = remembered(answers.current,
            { ...topic, StartTime: topic.Topic });
    }

    const seconds = bySecond(answers.current, RATES);
    const values = (name) => seconds.map((second) => second[name]);

    return html`
        <div class="charts">
            <${Chart} title=${t('overview.live')} class="whole"
                      times=${values('Time')} label=${time} span=${SPAN}
                      language=${language()} series=${[
                          ...RATES.map((name) => ({ values: values(name),
                              label: t(`count.${name}`),
                              colour: COLOURS[name],
                              dash: DASHES[name] })),
                          { label: t('count.Backlog'), colour: 'left',
                              dash: [2, 3], right: true,
                              values: values('Backlog') },
                      ]} />
        </div>`;
}
