import { get } from '../api.js';
import { useConnection } from '../connection.js';
import { Chart } from '../components/chart.js';
import { Heading, Loading, Trouble } from '../components/state.js';
import { Tile } from '../components/tile.js';
import { bytes, day, duration, fullDay, minute, number, rate, when }
    from '../format.js';
import { html } from '../html.js';
import { language, t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { COUNTERS, useRates } from '../rates.js';
import { link } from '../router.js';
import { days, failures, memoryLasts, problems } from '../statistics.js';

const GROWTH_INTERVAL = 20000;     // ms
const IDLE = 5;                    // s that a message may wait unnoticed

// A problem's values as they are read.
const words = ({ error, topic, n, age, free, size }) => ({
    error,
    topic,
    n: number(n),
    age: age === undefined ? '' : duration(age),
    free: bytes(free),
    size: bytes(size),
});

function Health({ overview }) {
    const found = problems(overview, overview.idle);
    const { lost } = useConnection();

    if (lost) {
        return html`<p class="health">${t('health.unknown')}</p>`;
    }

    if (found.length === 0) {
        return html`<p class="health good">${t('health.good')}</p>`;
    }

    return html`
        <ul class="plain">
            ${found.map((problem) => html`
                <li key=${problem.name} class=${`health ${problem.level}`}>
                    ${t(`health.${problem.name}`, words(problem))}
                </li>`)}
        </ul>`;
}

function Now({ overview }) {
    const waits = overview.OldestWaiting === null ? null
        : overview.Time - overview.OldestWaiting;

    return html`
        <section aria-labelledby="now">
            <h2 id="now">${t('overview.now')}</h2>
            <div class="tiles">
                <${Tile} label=${t('count.Waiting')}
                         value=${number(overview.Waiting)}
                         note=${waits === null ? t('overview.noneWaits')
                             : t('overview.oldest', { age: duration(waits),
                                 topic: overview.OldestTopic ?? '' })} />
                <${Tile} label=${t('count.InFlight')}
                         value=${number(overview.InFlight)} />
                <${Tile} label=${t('count.Retrying')}
                         value=${number(overview.Retrying)}
                         tone=${overview.Retrying > 0 ? 'warn' : ''}
                         note=${t('overview.failures', {
                             n: number(failures(overview)) })} />
                <${Tile} label=${t('count.Delayed')}
                         value=${number(overview.Delayed)} />
                <${Tile} label=${t('count.Consumed')}
                         value=${number(overview.Consumed)}
                         note=${t('overview.history')} />
                <${Tile} label=${t('count.Dead')}
                         value=${number(overview.Dead)}
                         tone=${overview.Dead > 0 ? 'warn' : ''} />
            </div>
        </section>`;
}

function Rates({ overview, perSecond }) {
    return html`
        <section aria-labelledby="rates">
            <h2 id="rates">${t('overview.rates')}</h2>
            <div class="tiles">
                ${COUNTERS.map((name) => html`
                    <${Tile} key=${name} label=${t(`count.${name}`)}
                             value=${rate(perSecond[name])}
                             note=${t(`overview.${name}`, {
                                 n: number(overview[name]),
                                 refused: number(overview.Refused),
                                 again: number(overview.Redelivered),
                             })} />`)}
                <${Tile} label=${t('overview.clients')} href=${link('Clients')}
                         value=${number(overview.Producers
                             + overview.Consumers)}
                         note=${t('overview.producersConsumers',
                             { producers: number(overview.Producers),
                                 consumers: number(overview.Consumers) })}
                         more=${overview.Resting > 0 && t('overview.resting',
                             { n: number(overview.Resting) })} />
                <${Tile} label=${t('page.Topics')} href=${link('Topics')}
                         value=${number(overview.Topics)} />
            </div>
        </section>`;
}

function Memory({ overview, minutes }) {
    const { Size, Free, History } = overview.Zone;
    const lasts = memoryLasts(overview, minutes ?? []);

    return html`
        <${Tile} label=${t('overview.memory')}
                 value=${bytes(Size - Free - History)}
                 meter=${(Size - Free - History) / Size}
                 note=${t('overview.memoryOf', { size: bytes(Size),
                     history: bytes(History) })}
                 more=${lasts === null ? t('overview.notGrowing')
                     : t('overview.lasts', { time: duration(lasts) })} />`;
}

function Disk({ disk }) {
    if (disk.Mode === 0) {
        return html`
            <${Tile} label=${t('overview.disk')} value=${t('disk.mode0')}
                     note=${t('disk.none')} />`;
    }

    return html`
        <${Tile} label=${t('overview.disk')}
                 value=${disk.Error ? t('disk.failing')
                     : t(`disk.mode${disk.Mode}`,
                         { s: number(disk.Interval, 1) })}
                 tone=${disk.Error ? 'bad' : ''}
                 note=${disk.Error ?? t('disk.flush',
                     { time: when(disk.LastFlush) })}
                 more=${t(disk.LastCheckpoint ? 'disk.checkpoint'
                     : 'disk.noCheckpoint', {
                     time: when(disk.LastCheckpoint),
                     size: bytes(disk.CheckpointBytes),
                     journal: bytes(disk.JournalBytes) })} />`;
}

function Server({ overview, minutes }) {
    const keeper = overview.Workers.find((worker) => worker.Keeper);
    const working = overview.Workers.filter((worker) => !worker.Retiring);
    const retiring = overview.Workers.length - working.length;
    const notes = [
        keeper && t('overview.keeper', { n: keeper.Worker }),
        retiring > 0 && t('overview.retiring', { n: number(retiring) }),
        overview.Repairs > 0 && t('overview.repairs',
            { n: number(overview.Repairs) }),
    ];

    return html`
        <section aria-labelledby="server">
            <h2 id="server">${t('overview.server')}</h2>
            <div class="tiles wide">
                <${Memory} overview=${overview} minutes=${minutes} />
                <${Disk} disk=${overview.Disk} />
                <${Tile} label=${t('overview.workers')}
                         value=${number(working.length)}
                         note=${notes.filter(Boolean).join('; ')}
                         more=${t('overview.since', {
                             time: when(overview.StartTime),
                             version: overview.Version })} />
            </div>
        </section>`;
}

const lines = (periods) => [
    ['Published', 'in'], ['Delivered', 'out'], ['Confirmed', 'done'],
].map(([name, colour]) => ({
    label: t(`count.${name}`),
    colour,
    dash: name === 'Delivered' ? [6, 4] : undefined,
    values: periods.map((period) => period[name]),
}));

function Growth({ growth }) {
    const { week, hour } = growth;
    const dayTimes = week.map((period) => period.Time);
    const backlog = {
        label: t('count.Backlog'),
        colour: 'left',
        dash: [2, 3],
        values: hour.map((period) => period.Backlog),
    };

    return html`
        <section aria-labelledby="growth">
            <h2 id="growth">${t('overview.growth')}</h2>
            <div class="charts">
                <${Chart} title=${t('overview.week')} times=${dayTimes}
                          series=${lines(week)}
                          label=${day} fullLabel=${fullDay}
                          language=${language()} byDay />
                <${Chart} title=${t('overview.hour')}
                          times=${hour.map((period) => period.Time)}
                          series=${[...lines(hour), backlog]}
                          label=${minute} language=${language()} />
            </div>
        </section>`;
}

// Whether a message waits in a topic without consumers, too.
async function load(signal) {
    const overview = await get('GetOverview', {}, signal);
    const { OldestTopic: topic, OldestWaiting: since, Time } = overview;

    if (since === null || Time - since < IDLE) {
        return { ...overview, idle: false };
    }

    const { Consumers } = await get('GetTopic', { topic }, signal)
        .catch(() => ({}));

    return { ...overview, idle: Consumers === 0 };
}

async function loadGrowth(signal) {
    const [hours, hour] = await Promise.all([
        get('GetGrowth', { unit: 'hour', count: 192 }, signal),
        get('GetGrowth', { unit: 'minute', count: 60 }, signal),
    ]);
    const now = hour[hour.length - 1].Time;

    return { week: days(hours, now, 7), hour };
}

function Skeleton() {
    return html`
        <${Loading} n=${1} />
        <h2>${t('overview.now')}</h2>
        <${Loading} n=${6} shape="tiles" />
        <h2>${t('overview.rates')}</h2>
        <${Loading} n=${5} shape="tiles" />
        <h2>${t('overview.server')}</h2>
        <${Loading} n=${3} shape="tiles wide" />
        <h2>${t('overview.growth')}</h2>
        <${Loading} n=${2} shape="charts" />`;
}

export function Overview() {
    const { data, error } = usePoll(load);
    const growth = usePoll(loadGrowth, [], GROWTH_INTERVAL);
    const perSecond = useRates(data);

    return html`
        <${Heading}>${t('page.Console')}<//>
        <${Trouble} error=${error} />
        ${data === null ? html`<${Skeleton} />` : html`
            <${Health} overview=${data} />
            <${Now} overview=${data} />
            <${Rates} overview=${data} perSecond=${perSecond} />
            <${Server} overview=${data} minutes=${growth.data?.hour} />
            ${growth.data ? html`<${Growth} growth=${growth.data} />`
                : html`
                    <h2>${t('overview.growth')}</h2>
                    <${Loading} n=${2} shape="charts" />`}`}`;
}
