import { mayOpen } from '../access.js';
import { ask, get } from '../api.js';
import { Chart } from '../components/chart.js';
import { Health } from '../components/health.js';
import { Heading, Loading, Trouble } from '../components/state.js';
import { Tile } from '../components/tile.js';
import { useConnection } from '../connection.js';
import { clusterText, errorName } from '../errors.js';
import { bytes, day, duration, fullDay, minute, number, rate, time, when }
    from '../format.js';
import { html, useMemo } from '../html.js';
import { language, t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { COUNTERS, useRates } from '../rates.js';
import { link } from '../router.js';
import { currentAccess } from '../session.js';
import { SPAN, bySecond, clusterProblems, days, failures, lasts, remembered }
    from '../statistics.js';
import { visible } from '../text.js';

const INTERVAL = 1000;             // ms
const HEALTH_INTERVAL = 3000;
const GROWTH_INTERVAL = 20000;
const messages = (status) => link('Messages', '', { status });

// What waits, and how long there is room for it.
function Waiting({ overview, minutes }) {
    const { Waiting: n, WaitingMax: max, OldestWaiting: oldest } = overview;
    const { count } = lasts(overview, minutes);
    const full = n >= max;
    const age = oldest === null ? t('overview.noneWaits')
        : t('overview.oldest', { age: duration(overview.Time - oldest),
            topic: visible(overview.OldestTopic ?? '') });

    return html`
        <${Tile} label=${t('count.Waiting')} href=${messages('4')}
                 value=${number(n)} tone=${full ? 'bad' : ''}
                 note=${full ? t('overview.full', { n: number(n),
                     max: number(max) }) : age}
                 more=${full ? age : count !== null
                     && t('overview.countLasts',
                         { time: duration(count) })} />`;
}

function Now({ overview, minutes }) {
    return html`
        <section aria-labelledby="now">
            <h2 id="now">${t('overview.now')}</h2>
            <div class="tiles">
                <${Waiting} overview=${overview} minutes=${minutes} />
                <${Tile} label=${t('count.InFlight')}
                         href=${messages('5')}
                         value=${number(overview.InFlight)} />
                <${Tile} label=${t('count.Retrying')}
                         href=${messages('6')}
                         value=${number(overview.Retrying)}
                         tone=${overview.Retrying > 0 ? 'warn' : ''}
                         note=${t('overview.failures', {
                             n: number(failures(overview)) })} />
                <${Tile} label=${t('count.Delayed')} href=${messages('0')}
                         value=${number(overview.Delayed)} />
                <${Tile} label=${t('count.Consumed')} href=${messages('1')}
                         value=${number(overview.Consumed)}
                         note=${t('overview.history')} />
                <${Tile} label=${t('count.Dead')} href=${messages('2')}
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
                             href=${link('Topics')}
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
    const { memory } = lasts(overview, minutes);

    return html`
        <${Tile} label=${t('overview.memory')}
                 value=${bytes(Size - Free - History)}
                 meter=${(Size - Free - History) / Size}
                 note=${t('overview.memoryOf', { size: bytes(Size),
                     history: bytes(History) })}
                 href=${link('Topics')}
                 more=${memory === null ? t('overview.notGrowing')
                     : t('overview.lasts', { time: duration(memory) })} />`;
}

function Disk({ disk }) {
    if (disk.Mode === 0) {
        return html`
            <${Tile} label=${t('overview.disk')} value=${t('disk.mode0')}
                     href=${link('Configuration')}
                     note=${t('disk.none')} />`;
    }

    return html`
        <${Tile} label=${t('overview.disk')} href=${link('Configuration')}
                 value=${disk.Error ? t('disk.failing')
                     : t(`disk.mode${disk.Mode}`,
                         { s: number(disk.Interval, 1) })}
                 tone=${disk.Error ? 'bad' : ''}
                 note=${disk.Error ? errorName(disk) : t('disk.flush',
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
                         href=${link('Configuration')}
                         value=${number(working.length)}
                         note=${notes.filter(Boolean).join('; ')}
                         more=${t('overview.since', {
                             time: when(overview.StartTime),
                             version: overview.Version })} />
            </div>
        </section>`;
}

const line = (periods, name, colour, rest) => ({
    label: t(`count.${name}`),
    colour,
    values: periods.map((period) => period[name]),
    ...rest,
});

const lines = (periods) => [
    line(periods, 'Published', 'in'),
    line(periods, 'Delivered', 'out', { dash: [6, 4] }),
    line(periods, 'Confirmed', 'done'),
];

const withBacklog = (periods) => [...lines(periods),
    line(periods, 'Backlog', 'left', { dash: [2, 3], right: true })];

const timesOf = (periods) => periods.map(({ Time }) => Time);

// A minute of it tells nothing that is true in a second.
function Live({ answers }) {
    const seconds = bySecond(answers, COUNTERS);

    return html`
        <div class="charts">
            <${Chart} title=${t('overview.live')} class="whole"
                      times=${timesOf(seconds)} series=${withBacklog(seconds)}
                      label=${time} language=${language()} span=${SPAN} />
        </div>`;
}

function Growth({ growth, language: current }) {
    const { week, hour } = growth;

    return useMemo(() => html`
        <section aria-labelledby="growth">
            <h2 id="growth">${t('overview.growth')}</h2>
            <div class="charts">
                <${Chart} title=${t('overview.hour')} times=${timesOf(hour)}
                          series=${withBacklog(hour)} label=${minute}
                          language=${current} running />
                <${Chart} title=${t('overview.week')} times=${timesOf(week)}
                          series=${lines(week)} label=${day}
                          fullLabel=${fullDay} language=${current} byDay
                          running />
            </div>
        </section>`, [growth, current]);
}

// One line of what the page Cluster has.
function ClusterLine() {
    const { data } = usePoll((signal) => ask('GetNodes', {}, signal));

    if (!data?.cluster) {
        return null;
    }

    const [worst] = clusterProblems(data);
    const there = data.data.filter((node) => node.There || node.Self);

    return html`
        <p class=${`health ${worst?.level ?? 'good'}`}>
            <a href=${link('Cluster')}>${t('page.Cluster')}</a>${': '}
            ${worst ? clusterText(worst)
                : t('cluster.line', { primary: data.cluster.Primary,
                    n: number(there.length),
                    all: number(data.data.length) })}
        </p>`;
}

const load = (signal) => get('GetOverview', {}, signal);

const loadHealth = (signal) => get('GetHealth', {}, signal);

async function loadGrowth(signal) {
    const [hours, hour] = await Promise.all([
        get('GetGrowth', { unit: 'hour', count: 192 }, signal),
        get('GetGrowth', { unit: 'minute', count: 61 }, signal),
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

// Kept when one comes back.
let answers = [];

async function loadAndKeep(signal) {
    const overview = await load(signal);

    answers = remembered(answers, overview);
    return { overview, answers };
}

export function Overview() {
    const { data, error } = usePoll(loadAndKeep, [], INTERVAL);
    const health = usePoll(loadHealth, [], HEALTH_INTERVAL);
    const growth = usePoll(loadGrowth, [], GROWTH_INTERVAL);
    const perSecond = useRates(data?.overview);
    const { lost } = useConnection();
    const minutes = growth.data?.hour ?? [];

    return html`
        <${Heading}>${t('page.Console')}<//>
        <${Trouble} error=${error ?? health.error} />
        ${mayOpen(currentAccess(), 'Cluster') && html`<${ClusterLine} />`}
        ${data === null || health.data === null ? html`<${Skeleton} />` : html`
            <${Health} overview=${data.overview} health=${health.data}
                       lost=${lost} />
            <${Now} overview=${data.overview} minutes=${minutes} />
            <${Rates} overview=${data.overview} perSecond=${perSecond} />
            <${Live} answers=${data.answers} />
            <${Server} overview=${data.overview} minutes=${minutes} />
            ${growth.data ? html`<${Growth} growth=${growth.data}
                                            language=${language()} />`
                : html`
                    <h2>${t('overview.growth')}</h2>
                    <${Loading} n=${2} shape="charts" />`}`}`;
}
