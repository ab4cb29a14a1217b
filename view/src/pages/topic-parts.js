// What belongs to a topic: who is connected to it, its dead messages, and what
// passes through it now.

import { ask } from '../api.js';
import { Chart } from '../components/chart.js';
import { Text } from '../components/data.js';
import { Time } from '../components/time.js';
import { NOTHING, duration, number, time } from '../format.js';
import { html, useRef } from '../html.js';
import { language, t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { link } from '../router.js';
import { SPAN, bySecond, remembered } from '../statistics.js';

const CLIENTS = 10;                // of each role
const DEAD = 5;
const PREVIEW = 120;               // bytes
const INTERVAL = 4000;             // ms

function Head({ names }) {
    return html`
        <thead>
            <tr>
                ${names.map(([name, kind]) => html`
                    <th key=${name} scope="col" class=${kind}>${name}</th>`)}
            </tr>
        </thead>`;
}

function Place({ caption, names, children }) {
    return html`
        <div class="table-place" tabindex="0" role="region"
             aria-label=${caption}>
            <table>
                <caption class="unseen">${caption}</caption>
                <${Head} names=${names} />
                <tbody>${children}</tbody>
            </table>
        </div>`;
}

async function load(topic, signal) {
    const lists = await Promise.all(['consumer', 'producer'].map(
        (role) => ask('GetClientList', { topic, role, limit: CLIENTS },
            signal)));

    return { list: lists.flatMap(({ data }) => data),
        more: lists.some(({ next }) => next !== null) };
}

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
            <${Place} caption=${t('topic.clients')} names=${[
                    [t('client.id')], [t('client.role')], [t('client.address')],
                    [t('client.messages'), 'number'],
                    [t('count.InFlight'), 'number'],
                    [t('client.oldest'), 'number'], [t('client.state')]]}>
                ${data.list.map((client) => html`
                    <tr key=${client.Connection}>
                        <td class="name" title=${client.Id}>
                            <a href=${link('Clients', client.Id)}>
                                ${client.Id}
                            </a>
                        </td>
                        <td>${t(`role.${client.Role}`)}</td>
                        <td>${client.Ip}</td>
                        <td class="number">${number(client.Messages)}</td>
                        <td class="number">${number(client.InFlight)}</td>
                        <td class="number">
                            ${client.OldestInFlight === null ? NOTHING
                                : duration(client.OldestInFlight)}
                        </td>
                        <td>
                            ${client.Resting ? t('client.resting')
                                : client.Silent ? t('client.silent')
                                    : NOTHING}
                        </td>
                    </tr>`)}
            <//>`}
        ${data.more && html`
            <p><a href=${link('Clients', topic)}>${t('topic.allClients')}</a>
            </p>`}`;
}

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
        <${Place} caption=${t('count.Dead')} names=${[['MessageCode'],
                [t('message.died'), 'number'], [t('message.preview')],
                [t('message.attempts'), 'number'], [t('message.lastError')]]}>
            ${data.data.map((message) => html`
                <tr key=${message.MessageCode}>
                    <td class="code">
                        <a href=${at(message.MessageCode)}
                           aria-label=${t('message.show',
                               { code: message.MessageCode })}>
                            ${message.MessageCode}
                        </a>
                    </td>
                    <td class="number"><${Time} at=${message.DeadTime} /></td>
                    <td class="preview"><${Text} text=${message.Preview} /></td>
                    <td class="number">${number(message.Attempts)}</td>
                    <td>${message.LastErrorCode
                        ? t(`failure.${message.LastErrorCode}`) : NOTHING}</td>
                </tr>`)}
        <//>
        <p><a href=${at()}>${t('topic.allDead')}</a></p>`;
}

const RATES = ['Published', 'Delivered', 'Confirmed'];
const COLOURS = { Published: 'in', Delivered: 'out', Confirmed: 'done' };

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
                              colour: COLOURS[name] })),
                          { label: t('count.Backlog'), colour: 'left',
                              dash: [2, 3], right: true,
                              values: values('Backlog') },
                      ]} />
        </div>`;
}
