// The nodes of a cluster: who is primary, how far the others have come, and why
// that has changed.

import { mayStepDown } from '../access.js';
import { ask } from '../api.js';
import { Dialog } from '../components/dialog.js';
import { Heading, Loading, Trouble } from '../components/state.js';
import { Table } from '../components/table.js';
import { Tile } from '../components/tile.js';
import { Time } from '../components/time.js';
import { clusterText, serverText } from '../errors.js';
import { NOTHING, bytes, duration, number, when } from '../format.js';
import { html, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { currentAccess } from '../session.js';
import { clusterProblems } from '../statistics.js';

const TONES = { primary: 'good', paused: 'bad' };

const roleOf = (role) => t(`cluster.role.${(role ?? 'unknown')
    .replace(' ', '-')}`);

function Health({ answer }) {
    const found = clusterProblems(answer);

    if (found.length === 0) {
        return html`<p class="health good">${t('cluster.good')}</p>`;
    }

    return html`
        <ul class="plain">
            ${found.map((problem) => html`
                <li key=${problem.name} class=${`health ${problem.level}`}>
                    ${clusterText(problem)}
                </li>`)}
        </ul>`;
}

function Now({ answer }) {
    const { cluster, data } = answer;
    const { Stream } = cluster;
    const there = data.filter((node) => node.There || node.Self);

    return html`
        <section aria-labelledby="now">
            <h2 id="now">${t('cluster.now')}</h2>
            <div class="tiles wide">
                <${Tile} label=${t('cluster.primary')}
                         value=${cluster.Primary ?? NOTHING}
                         tone=${cluster.Primary ? '' : 'bad'}
                         note=${t('cluster.epoch',
                             { n: number(cluster.Epoch) })} />
                <${Tile} label=${t('cluster.nodes')}
                         value=${t('cluster.of', { n: number(there.length),
                             all: number(data.length) })}
                         tone=${there.length < data.length ? 'warn' : ''}
                         note=${t('cluster.self', { name: cluster.Node,
                             role: roleOf(cluster.Role),
                             time: when(cluster.Since) })} />
                <${Tile} label=${t('cluster.stream')}
                         value=${t('cluster.of', {
                             n: number(Stream.Current),
                             all: number(Stream.Replicas) })}
                         tone=${Stream.Current < Stream.Replicas ? 'warn' : ''}
                         note=${t('cluster.leader',
                             { name: Stream.Leader ?? NOTHING })}
                         more=${t('cluster.size', {
                             n: number(Stream.Messages),
                             size: bytes(Stream.Bytes) })} />
            </div>
        </section>`;
}

const nodeColumns = () => [
    { name: 'Node', label: t('cluster.node'), class: 'name',
        cell: (node) => (node.Self ? t('cluster.this', { name: node.Node })
            : node.Node) },
    { name: 'Role', label: t('cluster.role'), cell: (node) => html`
        <span class=${TONES[node.Role] ?? ''}>
            ${node.There || node.Self ? roleOf(node.Role) : t('cluster.gone')}
        </span>` },
    { name: 'Address', label: t('cluster.address'),
        cell: (node) => node.Address ?? NOTHING },
    { name: 'Epoch', label: t('cluster.epochs'), class: 'number',
        descending: true, cell: (node) => number(node.Epoch) },
    { name: 'Lag', label: t('cluster.lag'), class: 'number',
        descending: true, cell: (node) => number(node.Lag) },
    { name: 'Heard', label: t('cluster.heard'), class: 'number',
        descending: true, cell: (node) => html`<${Time} at=${node.Heard} />` },
];

const takeoverColumns = () => [
    { name: 'Time', label: t('cluster.time'), descending: true,
        cell: (one) => html`<${Time} at=${one.Time} full />` },
    { name: 'Node', label: t('cluster.node'), class: 'name',
        cell: (one) => one.Node },
    { name: 'Epoch', label: t('cluster.epochs'), class: 'number',
        descending: true, cell: (one) => number(one.Epoch) },
    { name: 'Lasted', label: t('cluster.lasted'), class: 'number',
        descending: true,
        cell: (one) => (one.Lasted ? duration(one.Lasted) : NOTHING) },
    { name: 'Why', label: t('cluster.why'),
        cell: (one) => (one.Why ? serverText(one.Why) : NOTHING) },
];

function Takeovers({ cluster }) {
    // the table is a landmark of that name already
    return html`
        <h2>${t('cluster.takeovers')}</h2>
        ${cluster.LastTakeovers.length === 0
            ? html`<p class="soft">${t('cluster.noTakeovers')}</p>`
            : html`
                <${Table} caption=${t('cluster.takeovers')}
                          columns=${takeoverColumns()}
                          rows=${cluster.LastTakeovers}
                          id=${(one) => one.Epoch} start="Time" />`}`;
}

function StepDown({ primary, onDone, onClose }) {
    const step = async () => {
        const { data } = await ask('StepDown');

        onDone(t('cluster.stepped', { name: data.Node }));
    };

    return html`
        <${Dialog} title=${t('cluster.stepTitle', { name: primary })}
                   action=${t('cluster.step')} onConfirm=${step}
                   onClose=${onClose}>
            <p>${t('cluster.stepAsk')}</p>
        <//>`;
}

export function Cluster() {
    const { data, error, refresh } = usePoll(
        (signal) => ask('GetNodes', {}, signal));
    const [stepping, setStepping] = useState(false);
    const [done, setDone] = useState('');
    const primary = data?.cluster?.Primary;
    const finish = (text) => {
        setDone(text);
        refresh();
    };
    const actions = primary && mayStepDown(currentAccess()) && html`
        <button type="button" onClick=${() => setStepping(true)}>
            ${t('cluster.step')}
        </button>`;

    return html`
        <${Heading} actions=${actions}>${t('page.Cluster')}<//>
        <${Trouble} error=${error} />
        <p role="status" class="done">${done}</p>
        ${data?.cluster ? html`
            <${Health} answer=${data} />
            <${Now} answer=${data} />
            <h2>${t('cluster.all')}</h2>
            <${Table} caption=${t('cluster.all')} columns=${nodeColumns()}
                      rows=${data.data} id=${(node) => node.Node}
                      start="Node" />
            <${Takeovers} cluster=${data.cluster} />`
            : html`<${Loading} n=${4} />`}
        ${stepping && html`
            <${StepDown} primary=${primary} onDone=${finish}
                         onClose=${() => setStepping(false)} />`}`;
}
