// One topic: what is in it, what passes through, what can be done.

import { mayChange } from '../access.js';
import { ask, get } from '../api.js';
import { Chart } from '../components/chart.js';
import { Dialog } from '../components/dialog.js';
import { Empty, Heading, Loading, Trouble, errorText }
    from '../components/state.js';
import { Tile } from '../components/tile.js';
import { day, duration, fullDay, minute, number, rate } from '../format.js';
import { html, useState } from '../html.js';
import { language, t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { useRates } from '../rates.js';
import { link } from '../router.js';
import { currentAccess } from '../session.js';
import { backlogs, days } from '../statistics.js';
import { visible } from '../text.js';
import { TopicClients, TopicDead, TopicLive } from './topic-parts.js';

const COUNTS = ['Waiting', 'InFlight', 'Retrying', 'Delayed', 'Consumed',
    'Dead'];
const NOTHING_THERE = { 403: 'forbidden', 404: 'unknown' };
// The status of those messages in an address.
const STATUS = { Waiting: '4', InFlight: '5', Retrying: '6', Delayed: '0',
    Consumed: '1', Dead: '2' };
const PURGEABLE = [['-1', 'Waiting'], ['0', 'Delayed'], ['1', 'Consumed'],
    ['2', 'Dead'], ['3', 'All']];

// Periods in which nothing happened are not told.
function filled(periods, from, to, step) {
    const known = new Map(periods.map((period) => [period.Time, period]));
    const all = [];

    for (let time = from; time <= to; time += step) {
        all.push(known.get(time)
            ?? { Time: time, Published: 0, Delivered: 0, Confirmed: 0 });
    }

    return all;
}

const backlogLine = (hour, topic) => ({
    label: t('count.Backlog'),
    colour: 'left',
    dash: [2, 3],
    right: true,
    values: backlogs(hour, topic.Waiting + topic.InFlight
        + topic.Retrying + topic.Delayed),
});

function lines(periods) {
    return [['Published', 'in'], ['Delivered', 'out', [6, 4]],
        ['Confirmed', 'done']].map(
        ([name, colour, dash]) => ({
            label: t(`count.${name}`),
            colour,
            dash,
            values: periods.map((period) => period[name]),
        }));
}

function Charts({ topic }) {
    const now = Date.now() / 1000;
    const thisMinute = Math.floor(now / 60) * 60;
    const hour = filled(topic.Minutes, thisMinute - 59 * 60, thisMinute, 60);
    const fortnight = days(topic.Hours, now, 14);

    return html`
        <div class="charts">
            <${Chart} title=${t('overview.hour')}
                      times=${hour.map((period) => period.Time)}
                      series=${[...lines(hour), backlogLine(hour, topic)]}
                      label=${minute}
                      language=${language()} running />
            <${Chart} title=${t('topic.fortnight')}
                      times=${fortnight.map((period) => period.Time)}
                      series=${lines(fortnight)} label=${day}
                      fullLabel=${fullDay} language=${language()}
                      byDay running />
        </div>`;
}

// What may be less than a second.
const pause = (seconds) => (seconds < 60
    ? t('unit.second', { n: number(seconds, 3) }) : duration(seconds));

function Settings({ topic }) {
    const never = (seconds) => (seconds ? duration(seconds)
        : t('topic.never'));
    const rows = [
        [t('topic.type'), t(`pushType.${topic.PushType}`)],
        [t('setting.pushRetryTime.name'), never(topic.PushRetryTime)],
        [t('setting.maxDeliveries.name'),
            topic.MaxDeliveries ? number(topic.MaxDeliveries)
                : t('topic.unlimited')],
        [t('setting.retryDelay.name'), pause(topic.RetryDelay)],
        [t('setting.retryDelayMax.name'), pause(topic.RetryDelayMax)],
        [t('setting.cleanTime.name'), never(topic.CleanTime)],
        [t('setting.confirm.name'), topic.Confirm],
        [t('setting.prefetch.name'), number(topic.Prefetch)],
        [t('setting.heartbeat.name'), topic.Heartbeat
            ? pause(topic.Heartbeat) : t('topic.never')],
    ];

    return html`
        <dl class="facts">
            ${rows.map(([name, value]) => html`
                <div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
        </dl>`;
}

const countOf = (topic, name) => {
    switch (name) {
    case 'Waiting':
        return topic.Waiting + topic.InFlight + topic.Retrying;
    case 'All':
        return COUNTS.reduce((sum, count) => sum + topic[count], 0);
    default:
        return topic[name];
    }
};

// What it takes, kind by kind: "8 waiting, 3 in flight".
const takes = (topic, name) => (name === 'All' ? COUNTS
    : name === 'Waiting' ? COUNTS.slice(0, 3) : [name])
    .filter((count) => topic[count] > 0)
    .map((count) => t('purge.of', { n: number(topic[count]),
        kind: t(`count.${count}`) })).join(', ');

function Purge({ topic, onDone, onClose }) {
    const [status, setStatus] = useState('-1');
    const name = PURGEABLE.find(([code]) => code === status)[1];
    const purge = async () => onDone(t('topic.purged', {
        n: number((await ask('PurgeTopic', { topic: topic.Topic, status }))
            .data),
    }));

    return html`
        <${Dialog} title=${t('topic.purgeTitle', { topic: topic.Topic })}
                   action=${t('topic.purgeNow')} onConfirm=${purge}
                   disabled=${countOf(topic, name) === 0}
                   onClose=${onClose}>
            <fieldset>
                <legend>${t('topic.purgeWhich')}</legend>
                ${PURGEABLE.map(([code, kind]) => html`
                    <label key=${code} class="radio">
                        <input type="radio" name="status" value=${code}
                               checked=${code === status}
                               onChange=${() => setStatus(code)} />
                        ${t(`purge.${kind}`)}
                        <b>${number(countOf(topic, kind))}</b>
                    </label>`)}
            </fieldset>
            ${countOf(topic, name) > 0 && html`
                <p>${t('topic.purgeAsk', { n: number(countOf(topic, name)),
                    topic: topic.Topic })}</p>
                <p class="takes">${takes(topic, name)}</p>`}
        <//>`;
}

function Requeue({ topic, onDone, onClose }) {
    const requeue = async () => onDone(t('topic.requeued', {
        n: number((await ask('RequeueMessage', { topic: topic.Topic }))
            .data),
    }));

    return html`
        <${Dialog} title=${t('topic.requeueTitle', { topic: topic.Topic })}
                   action=${t('action.requeue')} danger=${false}
                   onConfirm=${requeue} onClose=${onClose}>
            <p>${t('topic.requeueAsk', { n: number(topic.Dead) })}</p>
        <//>`;
}

function Pause({ topic, onDone, onClose }) {
    const pause = async () => {
        await ask('PauseTopic', { topic: topic.Topic });
        onDone(t('topic.pausedNow'));
    };

    return html`
        <${Dialog} title=${t('topic.pauseTitle', { topic: topic.Topic })}
                   action=${t('topic.pause')} danger=${false}
                   onConfirm=${pause} onClose=${onClose}>
            <p>${t('topic.pauseAsk')}</p>
        <//>`;
}

function Skeleton() {
    return html`
        <${Loading} n=${11} shape="tiles" />
        <${Loading} n=${2} shape="charts" />`;
}

async function load(topic, signal) {
    const data = await get('GetTopic', { topic }, signal);

    return { ...data, Time: Date.now() / 1000 };
}

function Tiles({ topic, perSecond }) {
    const age = topic.OldestWaiting === null ? t('overview.noneWaits')
        : t('topic.oldestFor',
            { age: duration(topic.Time - topic.OldestWaiting) });

    return html`
        <div class="tiles">
            ${COUNTS.map((count) => html`
                <${Tile} key=${count} label=${t(`count.${count}`)}
                         href=${link('Messages', '', { topic: topic.Topic,
                             status: STATUS[count] })}
                         value=${number(topic[count])}
                         note=${count === 'Waiting' && age} />`)}
            <${Tile} label=${t('count.Published')}
                     value=${rate(perSecond.Published)}
                     note=${t('overview.Published', {
                         n: number(topic.Published),
                         refused: number(topic.Refused),
                     })} />
            <${Tile} label=${t('count.Delivered')}
                     value=${rate(perSecond.Delivered)}
                     note=${t('overview.Delivered', {
                         n: number(topic.Delivered),
                         again: number(topic.Redelivered),
                     })} />
            <${Tile} label=${t('count.Confirmed')}
                     value=${rate(perSecond.Confirmed)}
                     note=${t('overview.Confirmed',
                         { n: number(topic.Confirmed) })} />
            <${Tile} label=${t('count.Producers')}
                     href=${link('Clients', topic.Topic)}
                     value=${number(topic.Producers)} />
            <${Tile} label=${t('count.Consumers')}
                     href=${link('Clients', topic.Topic)}
                     value=${number(topic.Consumers)}
                     tone=${topic.Resting > 0 ? 'warn' : ''}
                     note=${topic.Resting > 0 && t('overview.resting',
                         { n: number(topic.Resting) })} />
        </div>`;
}

export function Topic({ name }) {
    const { data, error, refresh } = usePoll(
        (signal) => load(name, signal), [name]);
    const perSecond = useRates(data);
    const [asking, setAsking] = useState('');
    const [done, setDone] = useState('');
    const finish = (text) => {
        setDone(text);
        refresh();
    };
    const close = () => setAsking('');
    const resume = () => ask('ResumeTopic', { topic: name }).then(
        () => finish(t('topic.resumedNow')), (e) => finish(errorText(e)));

    const actions = data && mayChange(currentAccess(), name) && html`
        <div class="buttons">
            ${data.Paused ? html`
                <button type="button" class="primary" onClick=${resume}>
                    ${t('topic.resume')}
                </button>`
                : html`
                <button type="button" onClick=${() => setAsking('pause')}>
                    ${t('topic.pause')}
                </button>`}
            <button type="button" disabled=${data.Dead === 0}
                    onClick=${() => setAsking('requeue')}>
                ${t('topic.requeueDead')}
            </button>
            <button type="button" class="danger"
                    onClick=${() => setAsking('purge')}>
                ${t('topic.purge')}
            </button>
        </div>`;

    if (data === null && error?.status in NOTHING_THERE) {
        return html`
            <${Heading}>${visible(name)}<//>
            <${Empty} title=${t(`topic.${NOTHING_THERE[error.status]}`)}>
                <p><a href=${link('Topics')}>${t('topic.toTopics')}</a></p>
            <//>`;
    }

    return html`
        <p class="crumb"><a href=${link('Topics')}>${t('page.Topics')}</a></p>
        <${Heading} actions=${actions}>${visible(name)}<//>
        <${Trouble} error=${error} />
        <p role="status" class="done">${done}</p>
        ${data === null ? html`<${Skeleton} />` : html`
            ${data.Paused && html`
                <p class="health warn">${t('topic.isPaused')}</p>`}
            <${Tiles} topic=${data} perSecond=${perSecond} />
            <${TopicDead} topic=${name} dead=${data.Dead} />
            <${TopicClients} topic=${name} />
            <h2>${t('overview.rates')}</h2>
            <${TopicLive} topic=${data} />
            <${Charts} topic=${data} />
            <h2>${t('page.Configuration')}</h2>
            <${Settings} topic=${data} />
            <p>
                <a href=${link('Messages', name)}>${t('topic.toMessages')}</a>
            </p>`}
        ${asking === 'pause' && html`
            <${Pause} topic=${data} onDone=${finish} onClose=${close} />`}
        ${asking === 'purge' && html`
            <${Purge} topic=${data} onDone=${finish} onClose=${close} />`}
        ${asking === 'requeue' && html`
            <${Requeue} topic=${data} onDone=${finish} onClose=${close} />`}`;
}
