import { firstTopic, sendTopics } from '../access.js';
import { getAll } from '../api.js';
import { StateField } from '../components/state-field.js';
import { Empty, Heading, Loading, Trouble } from '../components/state.js';
import { Table } from '../components/table.js';
import { duration, number, rate } from '../format.js';
import { html, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { usePoll, useSettled } from '../poll.js';
import { useBefore } from '../rates.js';
import { link } from '../router.js';
import { currentAccess } from '../session.js';
import { TOPIC_STATES, inState, rates } from '../statistics.js';
import { visible } from '../text.js';

const COUNTERS = ['Published', 'Delivered'];

// Each topic with its rates and the age of its oldest message.
function withRates(before, { time, topics }) {
    const old = new Map((before?.topics ?? []).map(
        (topic) => [topic.Topic, { ...topic, Time: before.time }]));

    return topics.map((topic) => {
        const perSecond = rates(old.get(topic.Topic),
            { ...topic, Time: time }, COUNTERS);

        return {
            ...topic,
            In: perSecond.Published,
            Out: perSecond.Delivered,
            Age: topic.OldestWaiting === null ? null
                : Math.max(0, time - topic.OldestWaiting),
        };
    });
}

async function load(search, signal) {
    const { all, more } = await getAll('GetTopics',
        search ? { search } : {}, signal);

    return { search, topics: all, more, time: Date.now() / 1000 };
}

const counter = (name) => ({
    name,
    label: t(`count.${name}`),
    class: 'number',
    descending: true,
    cell: (topic) => number(topic[name]),
});

const columns = () => [
    {
        name: 'Topic',
        label: t('topic.name'),
        class: 'name',
        cell: (topic) => html`
            <a href=${link('Topics', topic.Topic)}>
                ${visible(topic.Topic)}
            </a>
            ${topic.Paused && html`
                <span class="tag warn">${t('topic.paused')}</span>`}`,
    },
    {
        name: 'PushType',
        label: t('topic.type'),
        class: 'type wide',
        cell: (topic) => t(`pushType.${topic.PushType}`),
    },
    counter('Waiting'),
    counter('InFlight'),
    counter('Retrying'),
    counter('Delayed'),
    counter('Dead'),
    {
        name: 'In',
        label: t('topic.in'),
        class: 'number',
        descending: true,
        cell: (topic) => rate(topic.In),
    },
    {
        name: 'Out',
        label: t('topic.out'),
        class: 'number',
        descending: true,
        cell: (topic) => rate(topic.Out),
    },
    {
        name: 'Age',
        label: t('topic.oldest'),
        class: 'number',
        descending: true,
        cell: (topic) => (topic.Age === null ? '–' : duration(topic.Age)),
    },
    counter('Consumers'),
    counter('Producers'),
];

function NoTopics({ search, state }) {
    if (state) {
        return html`<${Empty} title=${t('topics.noneInState')} />`;
    }

    if (search) {
        return html`
            <${Empty} title=${t('topics.noneFound', { search })} />`;
    }

    const allowed = sendTopics(currentAccess());

    if (allowed.length === 0) {
        return html`<${Empty} title=${t('topics.none')} />`;
    }

    const line = `curl -H 'secretKey: KEY' -d topic=${firstTopic(allowed)} `
        + `-d messageData=hello ${new URL('Producer/Send', location.href)}`;

    return html`
        <${Empty} title=${t('topics.none')}>
            <p>${t('topics.first')}</p>
            <pre><code>${line}</code></pre>
            <p><a href=${link('Send')}>${t('topics.toSend')}</a></p>
        <//>`;
}

// state: of TOPIC_STATES
export function Topics({ state }) {
    const [search, setSearch] = useState('');
    const wanted = useSettled(search);
    const { data, error } = usePoll((signal) => load(wanted, signal),
        [wanted]);
    const before = useBefore(data);
    const rows = data && inState(withRates(before, data), TOPIC_STATES,
        state);

    return html`
        <${Heading}>${t('page.Topics')}<//>
        <${Trouble} error=${error} />
        <form class="filters" role="search"
              onSubmit=${(e) => e.preventDefault()}>
            <label>
                ${t('topics.search')}
                <input type="search" value=${search}
                       onInput=${(e) => setSearch(e.target.value)} />
            </label>
            <${StateField} page="Topics" states=${TOPIC_STATES}
                           value=${state} />
        </form>
        ${rows === null && html`<${Loading} />`}
        ${rows?.length === 0 && html`
            <${NoTopics} search=${data.search} state=${state} />`}
        ${rows?.length > 0 && html`
            <${Table} caption=${t('page.Topics')} columns=${columns()}
                      rows=${rows} id=${(topic) => topic.Topic}
                      start="Topic" />`}
        ${data?.more && html`<p class="soft">${t('list.partial')}</p>`}`;
}
