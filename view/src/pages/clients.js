import { mayChange, mayChangeAny } from '../access.js';
import { ask, getAll } from '../api.js';
import { Dialog } from '../components/dialog.js';
import { StateField } from '../components/state-field.js';
import { Empty, Heading, Loading, Trouble } from '../components/state.js';
import { Table } from '../components/table.js';
import { Time } from '../components/time.js';
import { NOTHING, duration, number, rate } from '../format.js';
import { html, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { usePoll, useSettled } from '../poll.js';
import { useBefore } from '../rates.js';
import { link } from '../router.js';
import { currentAccess } from '../session.js';
import { CLIENT_STATES, inState, rates } from '../statistics.js';
import { visible } from '../text.js';

const ROLES = ['', 'producer', 'consumer'];

async function load({ search, role }, signal) {
    const { all, more } = await getAll('GetClientList', {
        ...(search && { search }),
        ...(role && { role }),
    }, signal);

    return { clients: all, more, time: Date.now() / 1000 };
}

function withRates(before, { time, clients }) {
    const old = new Map((before?.clients ?? []).map(
        (client) => [client.Connection, { ...client, Time: before.time }]));

    return clients.map((client) => ({
        ...client,
        Odd: oddities(client).length,
        Rate: rates(old.get(client.Connection), { ...client, Time: time },
            ['Messages']).Messages,
    }));
}

const timeCell = (name) => (client) => html`
    <${Time} at=${client[name]} />`;

// What is odd about a client: the tones and names of what is to be told.
const oddities = (client) => [
    client.Resting && ['warn', 'resting'],
    client.Silent && ['bad', 'silent'],
    client.Lease !== null && ['plain', 'leased'],
    client.Parked !== null && ['plain', 'parked'],
].filter(Boolean);

function State({ client }) {
    const odd = oddities(client);

    if (odd.length === 0) {
        return NOTHING;
    }

    return odd.map(([tone, name]) => html`
        <span key=${name} class=${`tag ${tone}`}
              title=${t(`client.about.${name}`)}>
            ${t(`client.${name}`)}
        </span>`);
}

// For how long a consumer has worked on the same message.
const works = (client) => (client.OldestInFlight === null ? NOTHING
    : duration(client.OldestInFlight));

// What one looks for first comes first.
const columns = (access, onDisconnect) => [
    { name: 'Id', label: t('client.id'), class: 'name',
        cell: (client) => visible(client.Id) },
    { name: 'Role', label: t('client.role'),
        cell: (client) => t(`role.${client.Role}`) },
    { name: 'Topic', label: t('topic.name'), class: 'name',
        cell: (client) => html`
            <a href=${link('Topics', client.Topic)}>
                ${visible(client.Topic)}
            </a>` },
    { name: 'InFlight', label: t('count.InFlight'), class: 'number',
        descending: true, cell: (client) => number(client.InFlight) },
    { name: 'OldestInFlight', label: t('client.oldest'), class: 'number',
        descending: true, cell: works },
    { name: 'Messages', label: t('client.messages'), class: 'number',
        descending: true, cell: (client) => number(client.Messages) },
    { name: 'Rate', label: t('client.rate'), class: 'number',
        descending: true, cell: (client) => rate(client.Rate) },
    { name: 'Confirm', label: t('client.confirm'),
        cell: (client) => client.Confirm ?? NOTHING },
    { name: 'Odd', label: t('client.state'), class: 'tags',
        descending: true, cell: (client) => html`
            <${State} client=${client} />` },
    { name: 'Ip', label: t('client.address'), extra: true,
        cell: (client) => client.Ip },
    { name: 'User', label: t('client.user'), class: 'name', extra: true,
        cell: (client) => client.User ?? NOTHING },
    { name: 'JoinTime', label: t('client.since'), class: 'number',
        extra: true, cell: timeCell('JoinTime') },
    { name: 'LastSeen', label: t('client.lastSeen'), class: 'number',
        extra: true, descending: true, cell: timeCell('LastSeen') },
    { name: 'Transport', label: t('client.transport'), extra: true,
        cell: (client) => t(`transport.${client.Transport}`) },
    { name: 'Prefetch', label: t('setting.prefetch.name'), class: 'number',
        extra: true, descending: true,
        cell: (client) => number(client.Prefetch) },
    { name: 'Heartbeat', label: t('setting.heartbeat.name'),
        class: 'number', extra: true, descending: true,
        cell: (client) => (client.Heartbeat > 0
            ? t('unit.second', { n: number(client.Heartbeat, 1) })
            : t('topic.never')) },
    mayChangeAny(access) && { name: 'action', fixed: true, label: '',
        class: 'action', cell: (client) => mayChange(access, client.Topic)
            && html`
            <button type="button" class="small"
                    aria-label=${t('client.disconnectId', { id: client.Id })}
                    onClick=${() => onDisconnect(client)}>
                ${t('client.disconnect')}
            </button>` },
].filter(Boolean);

function Disconnect({ client, onDone, onClose }) {
    const disconnect = async () => {
        await ask('Disconnect', { connection: client.Connection });
        onDone(t('client.disconnected', { id: client.Id }));
    };

    return html`
        <${Dialog} title=${t('client.disconnectId', { id: client.Id })}
                   action=${t('client.disconnect')} onConfirm=${disconnect}
                   onClose=${onClose}>
            <p>${t(`client.ask.${client.Role}`, { id: client.Id,
                topic: client.Topic, n: number(client.InFlight ?? 0) })}</p>
        <//>`;
}

function Filters({ filters, search, state, onChange }) {
    const set = (name) => (e) => onChange(
        { ...filters, [name]: e.target.value });

    return html`
        <form class="filters" role="search"
              onSubmit=${(e) => e.preventDefault()}>
            <label>
                ${t('clients.search')}
                <input type="search" value=${filters.search}
                       onInput=${set('search')} />
            </label>
            <label>
                ${t('client.role')}
                <select value=${filters.role} onChange=${set('role')}>
                    ${ROLES.map((role) => html`
                        <option key=${role} value=${role}
                                selected=${role === filters.role}>
                            ${t(`role.${role || 'any'}`)}
                        </option>`)}
                </select>
            </label>
            <${StateField} page="Clients" parameter=${search}
                           states=${CLIENT_STATES} value=${state} />
        </form>`;
}

// search: with which one begins; state: of CLIENT_STATES
export function Clients({ search, state }) {
    const [filters, setFilters] = useState({ search, role: '' });
    const wanted = useSettled(filters);
    const { data, error, refresh } = usePoll(
        (signal) => load(wanted, signal), [wanted]);
    const [leaving, setLeaving] = useState(null);
    const [done, setDone] = useState('');
    const before = useBefore(data);
    const rows = data && inState(withRates(before, data), CLIENT_STATES,
        state);
    const finish = (text) => {
        setDone(text);
        refresh();
    };

    return html`
        <${Heading}>${t('page.Clients')}<//>
        <${Trouble} error=${error} />
        <${Filters} filters=${filters} search=${search} state=${state}
                    onChange=${setFilters} />
        <p role="status" class="done">${done}</p>
        ${rows === null && html`<${Loading} />`}
        ${rows?.length === 0 && html`
            <${Empty} title=${filters.search || filters.role || state
                ? t('clients.noneFound') : t('clients.none')}>
                <p>${t('clients.how')}</p>
            <//>`}
        ${rows?.length > 0 && html`
            <${Table} caption=${t('page.Clients')}
                      columns=${columns(currentAccess(), setLeaving)}
                      rows=${rows}
                      id=${(client) => client.Connection} start="Id" />`}
        ${data?.more && html`<p class="soft">${t('list.partial')}</p>`}
        ${leaving && html`
            <${Disconnect} client=${leaving} onDone=${finish}
                           onClose=${() => setLeaving(null)} />`}`;
}
