// What arrives on a topic, pushed to this page as to any other consumer.

import { covers, firstTopic } from '../access.js';
import { hasAddress, listen } from '../consumer.js';
import { Data } from '../components/data.js';
import { Time } from '../components/time.js';
import { TopicField } from '../components/topic-field.js';
import { number } from '../format.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { t } from '../i18n/index.js';

const KEPT = 200;
const CUT = 2000;                  // characters of each
const PACE = 100;                  // ms between two looks at what came
const MODES = ['pong', 'ack', 'socket'];

const randomId = () => `console-${crypto.getRandomValues(new Uint32Array(1))[0]
    .toString(16)}`;

/*
 * {state: off, connecting or on; list, the newest first; count; reason; error,
 * of a confirmation; start(), stop(), confirm()}
 */
function useConsumer() {
    const connection = useRef(null);
    const [state, setState] = useState('off');
    const [reason, setReason] = useState('');
    const [error, setError] = useState('');
    const [arrived, setArrived] = useState({ list: [], count: 0 });

    useEffect(() => () => connection.current?.close(), []);

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
        reason,
        error,
        ...arrived,
        start(topic, id, mode) {
            setState('connecting');
            setReason('');
            setError('');
            setArrived({ list: [], count: 0 });
            connection.current = listen(topic, id, mode, {
                open: () => setState('on'),
                message: add,
                error: setError,
                close(why) {
                    setState('off');
                    setReason(why);
                },
            });
        },
        stop: () => connection.current?.close(),
        confirm(message) {
            setError('');
            connection.current.confirm(message.MessageCode);
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
                ${message.Attempts > 0 && html`
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

function stateText({ state, reason }) {
    if (state === 'off' && reason) {
        return t('listen.lost', { reason });
    }

    return t(`listen.${state}`);
}

// id: the only one that the key may listen with; null: any
export function Listen({ topics, id }) {
    const consumer = useConsumer();
    const [topic, setTopic] = useState(firstTopic(topics));
    const [mode, setMode] = useState('pong');
    const off = consumer.state === 'off';

    const named = hasAddress(topic);
    const possible = named && covers(topics, topic);

    const submit = (event) => {
        event.preventDefault();

        if (!off) {
            consumer.stop();
        } else if (possible) {
            consumer.start(topic, id ?? randomId(), mode);
        }
    };

    return html`
        <section aria-labelledby="listen-title" class="pane">
            <h2 id="listen-title">${t('listen.title')}</h2>
            <form onSubmit=${submit} class="stack">
                <${TopicField} value=${topic} topics=${topics}
                               disabled=${!off}
                               onInput=${(e) => setTopic(e.target.value)} />
                <label>${t('client.confirm')}
                    <select value=${mode} disabled=${!off}
                            onChange=${(e) => setMode(e.target.value)}>
                        ${MODES.map((name) => html`
                            <option key=${name} value=${name}
                                    selected=${name === mode}>
                                ${name}: ${t(`confirm.${name}`)}
                            </option>`)}
                    </select>
                </label>
                <button type="submit" class=${off ? 'primary' : ''}
                        disabled=${off && !possible}>
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
                        { error: consumer.error })}</p>`}
            </div>
            <ol class="plain arrivals" aria-label=${t('listen.list')}>
                ${consumer.list.map((message) => html`
                    <${Arrived} key=${message.number} message=${message}
                                ack=${mode === 'ack' && !off}
                                onConfirm=${consumer.confirm} />`)}
            </ol>
        </section>`;
}
