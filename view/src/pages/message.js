// One message, beside the list.

import { mayChange, sendTopics } from '../access.js';
import { ask, get } from '../api.js';
import { Copy } from '../components/copy.js';
import { Data } from '../components/data.js';
import { Dialog } from '../components/dialog.js';
import { Loading, errorText } from '../components/state.js';
import { Time } from '../components/time.js';
import { NOTHING, bytes, number } from '../format.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { mayRelease, mayRequeue } from '../search.js';
import { currentAccess } from '../session.js';
import { Resend } from './resend.js';

const CUT = 20000;                 // characters that are shown at first

export function statusOf(message) {
    if (message.InFlight) {
        return t('count.InFlight');
    }

    return message.NextTry ? t('count.Retrying')
        : t(`status.${message.Status}`);
}

const full = (at) => html`<${Time} at=${at} full />`;

function Facts({ message }) {
    const rows = [
        [t('topic.name'), message.Topic],
        [t('message.status'), statusOf(message)],
        [t('message.size'), bytes(message.DataSize)],
        [t('message.attempts'), number(message.Attempts)],
        message.LastErrorCode && [t('message.lastError'),
            t(`failure.${message.LastErrorCode}`)],
        message.NextTry && [t('message.nextTry'), full(message.NextTry)],
        message.Suspect && [t('message.suspect'),
            t('message.suspectText')],
        [t('message.created'), full(message.CreateTime)],
        message.DelayTime > 0 && [t('message.delay'),
            t('unit.second', { n: number(message.DelayTime) })],
        message.DueTime && [t('message.due'), full(message.DueTime)],
        message.ConsumedTime > 0 && [t('message.consumed'),
            full(message.ConsumedTime)],
        message.DeadTime && [t('message.died'), full(message.DeadTime)],
        message.InFlight && [t('message.consumer'),
            message.Consumer ?? NOTHING],
    ];

    return html`
        <dl class="facts">
            ${rows.filter(Boolean).map(([name, value]) => html`
                <div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
        </dl>`;
}

function Detail({ message, onChanged }) {
    const [asking, setAsking] = useState('');
    const [error, setError] = useState(null);
    const code = message.MessageCode;
    const access = currentAccess();
    const mine = mayChange(access, message.Topic);
    const close = () => setAsking('');

    const change = (name, text) => async () => {
        try {
            await ask(name, { messageCode: code });
            onChanged(text, [code], false);
        } catch (e) {
            setError(e);
        }
    };

    async function remove() {
        await ask('DelMessage', { messageCode: code });
        onChanged(t('message.deleted'), [code], true);
    }

    return html`
        <p class="whole-code"><code>${code}</code></p>
        <div class="buttons start">
            <${Copy} text=${code} label=${t('message.copyCode')} />
            <${Copy} text=${message.MessageData}
                     label=${t('message.copyData')} />
            ${mine && mayRequeue(message) && html`
                <button type="button" class="small" onClick=${change(
                    'RequeueMessage', t('message.requeued'))}>
                    ${t('action.requeue')}
                </button>`}
            ${mine && mayRelease(message) && html`
                <button type="button" class="small" onClick=${change(
                    'ReleaseMessage', t('message.released'))}>
                    ${t('action.release')}
                </button>`}
            ${sendTopics(access).length > 0 && html`
                <button type="button" class="small"
                        onClick=${() => setAsking('resend')}>
                    ${t('action.resend')}
                </button>`}
            ${mine && html`
                <button type="button" class="small danger"
                        onClick=${() => setAsking('delete')}>
                    ${t('action.delete')}
                </button>`}
        </div>
        <div role="alert">
            ${error && html`<p class="trouble">${errorText(error)}</p>`}
        </div>
        <${Facts} message=${message} />
        <h3>${t('message.data')}</h3>
        <${Data} text=${message.MessageData} cut=${CUT} />
        ${asking === 'resend' && html`
            <${Resend} message=${message} onClose=${close}
                       onDone=${(text, gone) => onChanged(text,
                           gone ? [code] : [], gone)} />`}
        ${asking === 'delete' && html`
            <${Dialog} title=${t('message.deleteTitle')}
                       action=${t('action.delete')} onConfirm=${remove}
                       onClose=${close}>
                <p>${t('message.deleteAsk', { topic: message.Topic })}</p>
            <//>`}`;
}

export function Message({ code, onClose, onChanged }) {
    const heading = useRef(null);
    const [message, setMessage] = useState(null);
    const [error, setError] = useState(null);

    useEffect(() => {
        heading.current.focus();
        get('GetMessage', { messageCode: code }).then(setMessage, setError);
    }, []);

    // not when it is a dialog that it closes
    const escape = (event) => {
        if (event.key === 'Escape' && !event.target.closest('dialog')) {
            onClose();
        }
    };

    return html`
        <section class="detail" aria-labelledby="message-title"
                 onKeyDown=${escape}>
            <div class="heading">
                <h2 id="message-title" tabindex="-1" ref=${heading}>
                    ${t('message.title')}
                </h2>
                <button type="button" onClick=${onClose}>
                    ${t('action.close')}
                </button>
            </div>
            <div role="alert">
                ${error && html`
                    <p class="trouble">${error.status === 404
                        ? t('message.gone') : errorText(error)}</p>`}
            </div>
            ${message ? html`
                <${Detail} message=${message} onChanged=${onChanged} />`
                : !error && html`<${Loading} n=${4} />`}
        </section>`;
}
