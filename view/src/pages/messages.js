import { ask, get } from '../api.js';
import { Empty, Heading, Loading, errorText } from '../components/state.js';
import { Time } from '../components/time.js';
import { NOTHING, bytes, fromInput, number } from '../format.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { Message } from './message.js';

const PAGE = 100;
const STATUSES = ['3', '-1', '0', '1', '2'];

const EMPTY = { topic: '', status: '3', from: '', to: '', code: '' };

function parameters(filters, cursor) {
    const to = fromInput(filters.to);

    return {
        status: filters.status,
        limit: PAGE,
        ...(filters.topic && { topic: filters.topic }),
        ...(filters.from && { startTime: fromInput(filters.from) }),
        // the whole minute
        ...(to && { endTime: to + 59 }),
        ...(cursor && { cursor }),
    };
}

// The one with this code, if it is there.
async function loadOne(messageCode) {
    try {
        return { data: [await get('GetMessage', { messageCode })], next: null };
    } catch (error) {
        if (error.status === 404) {
            return { data: [], next: null };
        }

        throw error;
    }
}

// The next messages; answers that are empty only lead on.
async function loadPart(filters, cursor, isWanted) {
    let part;

    if (filters.code) {
        return loadOne(filters.code);
    }

    do {
        part = await ask('GetMessageList', parameters(filters, cursor));
        cursor = part.next;
    } while (part.data.length === 0 && cursor !== null && isWanted());

    return part;
}

/*
 * Messages that answer to filters, and more of them: {list, next, busy, error,
 * more(), again()}.
 */
function useList(filters) {
    const [state, setState] = useState({ list: null, next: null });
    const turn = useRef(0);

    async function load(cursor, list) {
        const mine = ++turn.current;
        const isWanted = () => mine === turn.current;

        setState((old) => ({ ...old, list, busy: true, error: null }));

        try {
            const part = await loadPart(filters, cursor, isWanted);

            isWanted() && setState({
                list: [...(list ?? []), ...part.data],
                next: part.next,
            });
        } catch (error) {
            isWanted() && setState((old) => ({ ...old, busy: false, error }));
        }
    }

    const again = () => load(undefined, null);

    useEffect(() => {
        again();
        return () => turn.current++;
    }, [filters]);

    return {
        ...state,
        again,
        more: () => load(state.next, state.list),
        drop: (code) => setState((old) => ({
            ...old,
            list: old.list.filter((message) => message.MessageCode !== code),
        })),
    };
}

function Filters({ start, onSearch }) {
    const [filters, setFilters] = useState(start);
    const set = (name) => (e) => setFilters(
        { ...filters, [name]: e.target.value });
    const submit = (event) => {
        event.preventDefault();
        onSearch({ ...filters });
    };

    return html`
        <form class="filters" role="search" onSubmit=${submit}>
            <label>${t('topic.name')}
                <input value=${filters.topic} onInput=${set('topic')} />
            </label>
            <label>${t('message.status')}
                <select value=${filters.status} onChange=${set('status')}>
                    ${STATUSES.map((status) => html`
                        <option key=${status} value=${status}
                                selected=${status === filters.status}>
                            ${t(`status.${status}`)}
                        </option>`)}
                </select>
            </label>
            <label>${t('messages.from')}
                <input type="datetime-local" value=${filters.from}
                       onInput=${set('from')} />
            </label>
            <label>${t('messages.to')}
                <input type="datetime-local" value=${filters.to}
                       onInput=${set('to')} />
            </label>
            <label class="grow">MessageCode
                <input class="mono" value=${filters.code} onInput=${set('code')}
                       spellcheck="false" autocomplete="off" />
            </label>
            <button type="submit" class="primary">
                ${t('messages.search')}
            </button>
        </form>`;
}

function Row({ message, open, onOpen }) {
    return html`
        <tr class=${open ? 'open' : ''}>
            <td class="code">
                <button type="button" class="link" aria-expanded=${open}
                        onClick=${onOpen}
                        aria-label=${t('message.show',
                            { code: message.MessageCode })}>
                    ${message.MessageCode}
                </button>
            </td>
            <td class="name" title=${message.Topic}>${message.Topic}</td>
            <td>
                <span class=${`status status${message.Status}`}>
                    ${message.NextTry ? t('count.Retrying')
                        : t(`status.${message.Status}`)}
                </span>
            </td>
            <td class="number">
                <${Time} at=${message.CreateTime} />
            </td>
            <td class="number">${bytes(message.Size)}</td>
            <td class="number">${number(message.Attempts)}</td>
            <td>
                ${message.LastErrorCode
                    ? t(`failure.${message.LastErrorCode}`) : NOTHING}
            </td>
            <td class="number"><${Time} at=${message.NextTry} /></td>
        </tr>`;
}

function List({ list, opened, onOpen }) {
    return html`
        <div class="table-place" tabindex="0" role="region"
             aria-label=${t('messages.caption')}>
            <table>
                <caption class="unseen">${t('messages.caption')}</caption>
                <thead>
                    <tr>
                        <th scope="col">MessageCode</th>
                        <th scope="col">${t('topic.name')}</th>
                        <th scope="col">${t('message.status')}</th>
                        <th scope="col" class="number">
                            ${t('message.created')}
                        </th>
                        <th scope="col" class="number">
                            ${t('message.size')}
                        </th>
                        <th scope="col" class="number">
                            ${t('message.attempts')}
                        </th>
                        <th scope="col">${t('message.lastError')}</th>
                        <th scope="col" class="number">
                            ${t('message.nextTry')}
                        </th>
                    </tr>
                </thead>
                <tbody>
                    ${list.map((message) => html`
                        <${Row} key=${message.MessageCode} message=${message}
                                open=${message.MessageCode === opened}
                                onOpen=${() => onOpen(message.MessageCode)} />
                    `)}
                </tbody>
            </table>
        </div>`;
}

export function Messages({ topic }) {
    const start = { ...EMPTY, topic };
    const [filters, setFilters] = useState(start);
    const [opened, setOpened] = useState('');
    const [done, setDone] = useState('');
    const found = useList(filters);
    const opener = useRef(null);

    // the focus goes back to where the detail was opened
    useEffect(() => {
        opener.current?.focus();
        opener.current = null;
    }, [opened]);

    // the one that was asked for is shown at once
    useEffect(() => {
        if (filters.code && found.list?.length === 1) {
            setOpened(filters.code);
        }
    }, [found.list]);

    const search = (wanted) => {
        setDone('');
        setOpened('');
        setFilters({ ...wanted, code: wanted.code.trim() });
    };
    const close = () => {
        opener.current = document.querySelector('[aria-expanded="true"]');
        setOpened('');
    };
    const changed = (text, code, gone) => {
        setDone(text);
        setOpened('');
        document.querySelector('main h1').focus();
        gone ? found.drop(code) : found.again();
    };

    return html`
        <${Heading}>${t('page.Messages')}<//>
        <${Filters} start=${start} onSearch=${search} />
        <div role="alert">
            ${found.error && html`
                <p class="trouble">${errorText(found.error)}
                    <button type="button" onClick=${found.again}>
                        ${t('action.again')}
                    </button>
                </p>`}
        </div>
        <p role="status" class="done">${done}</p>
        <div class=${opened ? 'with-detail' : ''}>
            <div>
                ${found.list === null && !found.error && html`<${Loading} />`}
                ${found.list?.length === 0 && !found.busy && html`
                    <${Empty} title=${t('messages.none')}>
                        <p>${t('messages.noneHelp')}</p>
                    <//>`}
                ${found.list?.length > 0 && html`
                    <${List} list=${found.list} opened=${opened}
                             onOpen=${setOpened} />`}
                <p class="more">
                    <span role="status">
                        ${found.list?.length > 0 && t('messages.shown',
                            { n: number(found.list.length) })}
                    </span>
                    ${found.list && found.next && html`
                        <button type="button" disabled=${found.busy}
                                onClick=${found.more}>
                            ${t('messages.more')}
                        </button>`}
                </p>
            </div>
            ${opened && html`
                <${Message} key=${opened} code=${opened}
                            onClose=${close} onChanged=${changed} />`}
        </div>`;
}
