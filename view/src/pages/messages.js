// The list of messages; all that is asked for is in the address.

import { mayChange } from '../access.js';
import { AsOf } from '../components/as-of.js';
import { Text } from '../components/data.js';
import { Empty, Heading, Loading, errorText } from '../components/state.js';
import { Time } from '../components/time.js';
import { TopicInput } from '../components/topic-input.js';
import { NOTHING, bytes, duration, fromInput, number, toInput }
    from '../format.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { link } from '../router.js';
import { ORDERS, STATUSES, filtersOf, find, queryOf, topicOf }
    from '../search.js';
import { currentAccess } from '../session.js';
import { visible } from '../text.js';
import { Message, statusOf } from './message.js';
import { Selected } from './selected.js';

// The address of a search, with one of its messages open.
const place = (filters, message = '') => link('Messages', '',
    { ...queryOf(filters), message });

/*
 * Messages that answer to filters, and more of them: {list, next, at (s), looked
 * (messages whose data was), busy, error, more(), again(), stop(), drop(code)}.
 */
function useList(filters, address) {
    const [state, setState] = useState({ list: null, next: null });
    const turn = useRef(0);

    async function load(before) {
        const mine = ++turn.current;
        const isWanted = () => mine === turn.current;
        const at = before.at ?? Date.now() / 1000;

        setState({ ...before, at, busy: true, error: null });

        try {
            await find(filters, before.next, ({ list, next, looked }) => {
                isWanted() && setState({ at, next, busy: true,
                    list: [...before.list ?? [], ...list],
                    looked: (before.looked ?? 0) + looked });

                return isWanted();
            });
            isWanted() && setState((old) => ({ ...old, busy: false }));
        } catch (error) {
            isWanted() && setState((old) => ({ ...old, busy: false, error }));
        }
    }

    const again = () => load({ list: null, next: null });

    useEffect(() => {
        again();
        return () => turn.current++;
    }, [address]);

    return {
        ...state,
        again,
        more: () => load(state),
        stop: () => {
            turn.current++;
            setState((old) => ({ ...old, list: old.list ?? [], busy: false }));
        },
        drop: (codes) => setState((old) => ({
            ...old,
            list: old.list.filter(
                (message) => !codes.includes(message.MessageCode)),
        })),
    };
}

// ---------------------------------------------------------------- filters

// What is typed: one field for a topic or a part of its name, times as inputs
// have them.
const typed = (filters) => ({ ...filters, topic: filters.topic || filters.part,
    from: toInput(filters.from), to: toInput(filters.to) });

const seconds = (input) => String(fromInput(input) ?? '');

function Choice({ label, names, value, text, onChange }) {
    return html`
        <label>${label}
            <select value=${value} onChange=${onChange}>
                ${names.map((name) => html`
                    <option key=${name} value=${name}
                            selected=${name === value}>
                        ${text(name)}
                    </option>`)}
            </select>
        </label>`;
}

function Filters({ start, onSearch }) {
    const [fields, setFields] = useState(typed(start));
    const set = (name) => (e) => setFields(
        { ...fields, [name]: e.target.value });
    const submit = async (event) => {
        event.preventDefault();
        onSearch({ ...fields, ...await topicOf(fields.topic),
            from: seconds(fields.from), to: seconds(fields.to),
            code: fields.code.trim() });
    };

    return html`
        <form class="filters" role="search" onSubmit=${submit}>
            <${TopicInput} label=${t('topic.name')} value=${fields.topic}
                           onInput=${set('topic')} />
            <${Choice} label=${t('message.status')} names=${STATUSES}
                       value=${fields.status} onChange=${set('status')}
                       text=${(name) => t(`status.${name}`)} />
            <${Choice} label=${t('messages.order')} names=${ORDERS}
                       value=${fields.order} onChange=${set('order')}
                       text=${(name) => t(`order.${name}`)} />
            <label class="grow">${t('messages.inData')}
                <input value=${fields.search} maxlength="255"
                       onInput=${set('search')} spellcheck="false"
                       autocomplete="off" />
            </label>
            <label>${t('messages.from')}
                <input type="datetime-local" value=${fields.from}
                       onInput=${set('from')} />
            </label>
            <label>${t('messages.to')}
                <input type="datetime-local" value=${fields.to}
                       onInput=${set('to')} />
            </label>
            <label class="grow">MessageCode
                <input class="mono" value=${fields.code} onInput=${set('code')}
                       spellcheck="false" autocomplete="off" />
            </label>
            <button type="submit" class="primary">
                ${t('messages.search')}
            </button>
        </form>`;
}

// ------------------------------------------------------------------- list

// A preview ends where it was cut.
function Preview({ message }) {
    const { Preview: text = '', MessageData } = message;

    return html`<${Text} text=${(MessageData ?? text).slice(0, 160)} />`;
}

const HEADS = [['MessageCode'], ['topic.name'], ['message.status'],
    ['message.age', 'number'], ['message.preview'], ['message.size', 'number'],
    ['message.attempts', 'number'], ['message.lastError'],
    ['message.next', 'number']];
const [CODE, TOPIC, STATUS, AGE, PREVIEW, SIZE, ATTEMPTS, ERROR, NEXT]
    = HEADS.keys();

const headOf = (key) => (key.includes('.') ? t(key) : key);

// What comes next for it: its next try, or when it is due.
const next = (message) => message.NextTry ?? message.DueTime;

// On a telephone a row is a card, which is said to be a row all the same.
function Cell({ of: i, children, ...rest }) {
    return html`
        <td role="cell" data-label=${headOf(HEADS[i][0])} ...${rest}>
            ${children}
        </td>`;
}

// Columns without which there is more room, where no message has any of it.
const columnsOf = (list) => [...HEADS.keys()].filter((i) => list.some(
    (message) => (i !== ERROR || message.LastErrorCode)
        && (i !== NEXT || next(message))));

// columns: those that are shown
function Row({ message, columns, now, open, chosen, onChoose }) {
    const code = message.MessageCode;

    return html`
        <tr role="row" class=${open ? 'open' : ''}>
            <td role="cell" class="choose">
                ${onChoose && html`
                    <input type="checkbox" checked=${chosen}
                           aria-label=${t('message.choose', { code })}
                           onChange=${() => onChoose(code)} />`}
            </td>
            <${Cell} of=${CODE} class="code">
                <a href=${message.href} aria-expanded=${open}
                   aria-label=${t('message.show', { code })}>${code}</a>
            <//>
            <${Cell} of=${TOPIC} class="name" title=${message.Topic}>
                ${visible(message.Topic)}
            <//>
            <${Cell} of=${STATUS}>
                <span class=${`status status${message.Status}`}>
                    ${statusOf(message)}
                </span>
                ${message.Consumer && html`
                    <span class="with" title=${message.Consumer}>
                        ${visible(message.Consumer)}
                    </span>`}
            <//>
            <${Cell} of=${AGE} class="number">
                <time dateTime=${new Date(message.CreateTime * 1000)
                    .toISOString()}
                      title=${t('message.createdAt', { time:
                          new Date(message.CreateTime * 1000)
                              .toLocaleString() })}>
                    ${duration(now - message.CreateTime)}
                </time>
            <//>
            <${Cell} of=${PREVIEW} class="preview">
                <${Preview} message=${message} />
            <//>
            <${Cell} of=${SIZE} class="number">${bytes(message.DataSize)}<//>
            <${Cell} of=${ATTEMPTS} class="number">
                ${number(message.Attempts)}
            <//>
            ${columns.includes(ERROR) && html`
                <${Cell} of=${ERROR} class=${message.LastErrorCode ? 'error'
                    : 'error nothing'}>
                    ${message.LastErrorCode
                        ? t(`failure.${message.LastErrorCode}`) : NOTHING}
                <//>`}
            ${columns.includes(NEXT) && html`
                <${Cell} of=${NEXT}
                         class=${next(message) ? 'number' : 'number nothing'}>
                    <${Time} at=${next(message)} />
                <//>`}
        </tr>`;
}

function List({ found, filters, opened, chosen, onChoose, onChooseAll }) {
    const caption = t(`messages.caption.${filters.order}`);
    const columns = columnsOf(found.list);
    const all = found.list.every(
        ({ MessageCode }) => chosen.includes(MessageCode));

    return html`
        <div class="table-place" tabindex="0" role="region"
             aria-label=${caption}>
            <table class="messages cards" role="table">
                <caption class="unseen">${caption}</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader" class="choose">
                            ${onChoose && html`
                                <input type="checkbox" checked=${all}
                                       aria-label=${t('messages.chooseAll')}
                                       onChange=${() => onChooseAll(!all)} />`}
                        </th>
                        ${columns.map((i) => html`
                            <th key=${i} scope="col" role="columnheader"
                                class=${HEADS[i][1]}>
                                ${headOf(HEADS[i][0])}
                            </th>`)}
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    ${found.list.map((message) => html`
                        <${Row} key=${message.MessageCode} now=${found.at}
                                columns=${columns}
                                message=${{ ...message, href: place(filters,
                                    message.MessageCode) }}
                                open=${message.MessageCode === opened}
                                chosen=${chosen.includes(message.MessageCode)}
                                onChoose=${onChoose} />`)}
                </tbody>
            </table>
        </div>`;
}

function More({ found }) {
    const n = number(found.list?.length ?? 0);

    return html`
        <p class="more">
            <span role="status">
                ${found.looked > 0
                    ? t('messages.looked', { n, looked: number(found.looked) })
                    : found.list?.length > 0 && t('messages.shown', { n })}
            </span>
            ${found.list && found.busy && html`
                <button type="button" onClick=${found.stop}>
                    ${t('messages.stop')}
                </button>`}
            ${found.list && found.next && !found.busy && html`
                <button type="button" onClick=${found.more}>
                    ${found.looked > 0 ? t('messages.on') : t('messages.more')}
                </button>`}
            ${found.list && html`
                <${AsOf} at=${found.at} busy=${found.busy}
                         onRefresh=${found.again} />`}
        </p>`;
}

// Those that are chosen, of those that are there.
function useChosen(list) {
    const [codes, setCodes] = useState([]);
    const there = (list ?? []).map(({ MessageCode }) => MessageCode);

    return {
        codes: codes.filter((code) => there.includes(code)),
        toggle: (code) => setCodes(codes.includes(code)
            ? codes.filter((one) => one !== code) : [...codes, code]),
        all: (on) => setCodes(on ? there : []),
    };
}

// The focus goes back to where the detail was opened.
function useFocusBack(opened) {
    const last = useRef(opened);

    useEffect(() => {
        if (last.current && !opened) {
            document.querySelector(
                `a[href$="message=${last.current}"]`)?.focus();
        }

        last.current = opened;
    }, [opened]);
}

export function Messages({ route }) {
    const filters = filtersOf(route);
    const { message: opened = '' } = route.query;
    const [done, setDone] = useState('');
    const found = useList(filters, place(filters));
    const chosen = useChosen(found.list);
    const access = currentAccess();
    const go = (wanted, message) => {
        location.hash = place(wanted, message);
    };

    useFocusBack(opened);

    // the one that was asked for is shown at once
    useEffect(() => {
        if (filters.code && found.list?.length === 1 && !opened) {
            location.replace(place(filters, filters.code));
        }
    }, [found.list]);

    const search = (wanted) => {
        setDone('');
        chosen.all(false);

        place(wanted) === place(filters) ? found.again() : go(wanted);
    };
    const changed = (text, codes, gone) => {
        setDone(text);
        chosen.all(false);
        opened && go(filters);
        document.querySelector('main h1').focus();
        gone ? found.drop(codes) : found.again();
    };
    const some = found.list?.length > 0;
    const mine = some && found.list.some(
        ({ Topic }) => mayChange(access, Topic));

    return html`
        <${Heading}>${t('page.Messages')}<//>
        <${Filters} key=${place(filters)} start=${filters}
                    onSearch=${search} />
        <div role="alert">
            ${found.error && html`
                <p class="trouble">${errorText(found.error)}
                    <button type="button" onClick=${found.again}>
                        ${t('action.again')}
                    </button>
                </p>`}
        </div>
        <p role="status" class="done">${done}</p>
        ${some && html`
            <${Selected} messages=${found.list.filter(({ MessageCode }) =>
                    chosen.codes.includes(MessageCode))}
                         mine=${mine} onChanged=${changed} />`}
        <div class=${opened ? 'with-detail' : ''}>
            <div>
                ${found.list === null && !found.error && html`<${Loading} />`}
                ${found.list?.length === 0 && !found.busy && html`
                    <${Empty} title=${found.next ? t('messages.noneYet')
                        : t('messages.none')}>
                        <p>${t('messages.noneHelp')}</p>
                    <//>`}
                ${some && html`
                    <${List} found=${found} filters=${filters} opened=${opened}
                             chosen=${chosen.codes} onChoose=${chosen.toggle}
                             onChooseAll=${chosen.all} />`}
                <${More} found=${found} />
            </div>
            ${opened && html`
                <${Message} key=${opened} code=${opened}
                            onClose=${() => go(filters)}
                            onChanged=${changed} />`}
        </div>`;
}
