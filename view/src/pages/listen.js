// What arrives on a topic, pushed to this page as to any other consumer.
// Unless one chooses to take messages they are given back.

import { covers, firstTopic } from '../access.js';
import { get, getAll } from '../api.js';
import { address, hasAddress, listen } from '../consumer.js';
import { Data } from '../components/data.js';
import { Time } from '../components/time.js';
import { TopicField } from '../components/topic-field.js';
import { serverText } from '../errors.js';
import { number } from '../format.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { has, t } from '../i18n/index.js';
import { peeker } from '../peek.js';
import { usePoll, useSettled } from '../poll.js';

const KEPT = 200;
const CUT = 2000;                  // characters of each
const PACE = 100;                  // ms between two looks at what came
const LOOK = 3000;                 // ms between two looks at the topic
const PEEK = 100;                  // messages at a time that are given back
const MODES = ['peek', 'pong', 'ack'];
const PUBLISH_SUBSCRIBE = 2;

const randomId = () => `console-${crypto.getRandomValues(new Uint32Array(1))[0]
    .toString(16)}`;

// What there is to know of a topic; null: it is not there yet.
async function look(topic, signal) {
    const { all } = await getAll('GetTopics', { search: topic }, signal);

    return all.some(({ Topic }) => Topic === topic)
        ? get('GetTopic', { topic }, signal) : null;
}

const parametersOf = (mode, topic) => (mode === 'peek' ? {
    confirm: 'ack',
    ...(topic && { prefetch: Math.min(PEEK, topic.Prefetch) }),
} : { confirm: mode });

/*
 * {state: off, connecting, on, again or stopping; list, the newest first; count; end:
 * {code, reason}; error, of a confirmation; start(), stop(), confirm()}
 */
function useConsumer() {
    const connection = useRef(null);
    const [state, setState] = useState('off');
    const [end, setEnd] = useState(null);
    const [error, setError] = useState('');
    const [arrived, setArrived] = useState({ list: [], count: 0 });

    function stop() {
        const { peek, close } = connection.current;

        if (peek) {
            setState('stopping');
            peek.end(close);
        } else {
            close();
        }
    }

    // The page goes, or another one comes.
    const leave = () => {
        connection.current?.peek?.abandon();
        connection.current?.close();
    };

    useEffect(() => {
        addEventListener('pagehide', leave);

        return () => {
            removeEventListener('pagehide', leave);
            connection.current?.peek ? stop() : leave();
        };
    }, []);

    // Thousands a second may come: they are shown together.
    const coming = useRef([]);

    function add(message) {
        if (coming.current.push(message) === 1) {
            setTimeout(show, PACE);
        }
    }

    function show() {
        const news = coming.current;

        coming.current = [];
        setArrived(({ list, count }) => ({
            list: [...news.map((message, i) => ({ ...message,
                number: count + i })).slice(-KEPT).reverse(), ...list]
                .slice(0, KEPT),
            count: count + news.length,
        }));
    }

    return {
        state,
        end,
        error,
        ...arrived,
        start(url, peeks) {
            const peek = peeks
                ? peeker((code) => connection.current.send(`-${code} 0`))
                : null;

            setState('connecting');
            setEnd(null);
            setError('');
            setArrived({ list: [], count: 0 });
            connection.current = listen(url, {
                open: () => setState((old) => (old === 'stopping' ? old
                    : 'on')),
                message: (message) => (!peek || peek.isNew(message))
                    && add(message),
                error: (text) => !peek && setError(text),
                lost: () => setState((old) => (old === 'stopping' ? old
                    : 'again')),
                end(code, reason) {
                    setState('off');
                    setEnd({ code, reason });
                },
            });
            connection.current.peek = peek;
        },
        stop,
        confirm(message) {
            setError('');
            connection.current.send(message.MessageCode);
            setArrived((old) => ({
                ...old,
                list: old.list.map((one) => (one.number === message.number
                    ? { ...one, confirmed: true } : one)),
            }));
        },
    };
}

function Arrived({ message, ack, onConfirm }) {
    return html`
        <li>
            <div class="arrived">
                <${Time} at=${message.CreateTime} />
                <code>${message.MessageCode}</code>
                ${message.Attempts > 1 && html`
                    <span class="tag warn">
                        ${t('listen.attempt', { n: number(message.Attempts) })}
                    </span>`}
                ${ack && html`
                    <button type="button" class="small"
                            disabled=${message.confirmed}
                            onClick=${() => onConfirm(message)}>
                        ${message.confirmed ? t('listen.confirmed')
                            : t('listen.confirm')}
                    </button>`}
            </div>
            <${Data} text=${message.MessageData} cut=${CUT} />
        </li>`;
}

function stateText({ state, end }) {
    if (state !== 'off' || !end || end.code === 0) {
        return t(`listen.${state}`);
    }

    const known = `close.${end.reason || end.code}`;

    return t('listen.ended', { reason: has(known) ? t(known)
        : `${end.code} ${end.reason}`.trim() });
}

// What listening does to others: topic as it is now, or null.
function effects(mode, topic, others) {
    const values = {
        n: number(topic?.Waiting ?? 0),
        others: number(others),
        max: number(Math.min(PEEK, topic?.Prefetch ?? PEEK)),
    };
    const takes = mode !== 'peek';

    if (topic?.PushType === PUBLISH_SUBSCRIBE) {
        return [['plain', t(takes ? 'listen.takesCopy'
            : 'listen.peeksCopy')]];
    }

    return [
        takes && ['warn', t('listen.takes')],
        takes && topic?.Waiting > 0
            && ['warn', t('listen.takesWaiting', values)],
        others > 0 && ['warn', t(takes ? 'listen.takesFrom'
            : 'listen.peeksFrom', values)],
        !takes && topic?.Waiting > 0
            && ['warn', t('listen.peeksWaiting', values)],
    ].filter(Boolean);
}

function Effects({ mode, topic, on }) {
    const others = Math.max(0, (topic?.Consumers ?? 0) - (on ? 1 : 0));
    const list = effects(mode, topic, others);

    return html`
        <ul class="plain effects" aria-label=${t('listen.effects')}>
            ${list.map(([tone, text]) => html`
                <li key=${text} class=${tone}>${text}</li>`)}
        </ul>`;
}

// id: the only one that the key may listen with; null: any
export function Listen({ topics, id }) {
    const consumer = useConsumer();
    const [name, setName] = useState(firstTopic(topics));
    const [mode, setMode] = useState('peek');
    const off = consumer.state === 'off';

    const named = hasAddress(name);
    const possible = named && name !== '' && covers(topics, name);
    const wanted = useSettled(possible ? name : '');
    const { data } = usePoll(async (signal) => ({ name: wanted,
        topic: wanted === '' ? null : await look(wanted, signal) }),
    [wanted], LOOK);
    const topic = data?.name === name ? data.topic : null;

    const submit = async (event) => {
        event.preventDefault();

        if (!off) {
            consumer.stop();
        } else if (possible) {
            const now = await look(name).catch(() => null);

            consumer.start(address(name, id ?? randomId(),
                parametersOf(mode, now)), mode === 'peek');
        }
    };

    return html`
        <section aria-labelledby="listen-title" class="pane">
            <h2 id="listen-title">${t('listen.title')}</h2>
            <form onSubmit=${submit} class="stack">
                <${TopicField} value=${name} topics=${topics}
                               disabled=${!off}
                               onInput=${(e) => setName(e.target.value)} />
                <label>${t('listen.mode')}
                    <select value=${mode} disabled=${!off}
                            onChange=${(e) => setMode(e.target.value)}>
                        ${MODES.map((one) => html`
                            <option key=${one} value=${one}
                                    selected=${one === mode}>
                                ${t(`listen.mode.${one}`)}
                            </option>`)}
                    </select>
                </label>
                <${Effects} mode=${mode} topic=${topic}
                            on=${consumer.state === 'on'} />
                <button type="submit" class=${off ? 'primary' : ''}
                        disabled=${off ? !possible
                            : consumer.state === 'stopping'}>
                    ${off ? t('listen.start') : t('listen.stop')}
                </button>
            </form>
            <p class=${`listening ${consumer.state}`}>
                <span role="status">${stateText(consumer)}</span>
                <span>${t('listen.count', { n: number(consumer.count) })}</span>
            </p>
            <div role="alert">
                ${!named && html`
                    <p class="trouble">${t('listen.noAddress')}</p>`}
                ${consumer.error && html`
                    <p class="trouble">${t('listen.error',
                        { error: serverText(consumer.error) })}</p>`}
            </div>
            <ol class="plain arrivals" aria-label=${t('listen.list')}>
                ${consumer.list.map((message) => html`
                    <${Arrived} key=${message.number} message=${message}
                                ack=${mode === 'ack' && !off}
                                onConfirm=${consumer.confirm} />`)}
            </ol>
        </section>`;
}
