// What can be done to several messages at once.

import { Dialog } from '../components/dialog.js';
import { errorText } from '../components/state.js';
import { number } from '../format.js';
import { html, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { changeAll, linesOf, mayRelease, mayRequeue } from '../search.js';

const codesOf = (messages) => messages.map(({ MessageCode }) => MessageCode);

// Hands a file to the browser.
function save(name, text) {
    const url = URL.createObjectURL(new Blob([text],
        { type: 'application/x-ndjson' }));
    const a = document.createElement('a');

    a.href = url;
    a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(url));
}

export function Selected({ messages, mine, onChanged }) {
    const [asking, setAsking] = useState(false);
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState(null);
    const dead = messages.filter(mayRequeue);
    const late = messages.filter(mayRelease);
    const n = number(messages.length);

    async function run(body) {
        setBusy(true);
        setError(null);

        try {
            await body();
        } catch (e) {
            setError(e);
        }

        setBusy(false);
    }

    const requeue = () => run(async () => onChanged(t('messages.requeued', {
        n: number(await changeAll('RequeueMessage', codesOf(dead))),
        all: number(dead.length),
    }), codesOf(dead), false));
    const release = () => run(async () => onChanged(t('messages.released', {
        n: number(await changeAll('ReleaseMessage', codesOf(late))),
        all: number(late.length),
    }), codesOf(late), false));
    const remove = async () => onChanged(t('messages.deleted', {
        n: number(await changeAll('DelMessage', codesOf(messages))), all: n,
    }), codesOf(messages), true);
    const exportThem = () => run(async () => {
        const lines = await linesOf(codesOf(messages));

        save('messages.ndjson', lines.map((line) => `${line}\n`).join(''));
    });

    if (messages.length === 0) {
        return null;
    }

    return html`
        <div class="selected" role="group" aria-label=${t('messages.chosen',
            { n })}>
            <b>${t('messages.chosen', { n })}</b>
            ${mine && html`
                <button type="button" disabled=${busy || dead.length === 0}
                        onClick=${requeue}>
                    ${t('messages.requeue', { n: number(dead.length) })}
                </button>
                <button type="button" disabled=${busy || late.length === 0}
                        onClick=${release}>
                    ${t('messages.release', { n: number(late.length) })}
                </button>
                <button type="button" class="danger" disabled=${busy}
                        onClick=${() => setAsking(true)}>
                    ${t('messages.delete', { n })}
                </button>`}
            <button type="button" disabled=${busy} onClick=${exportThem}>
                ${t('messages.export', { n })}
            </button>
            <div role="alert">
                ${error && html`<p class="trouble">${errorText(error)}</p>`}
            </div>
        </div>
        ${asking && html`
            <${Dialog} title=${t('messages.deleteTitle', { n })}
                       action=${t('action.delete')} onConfirm=${remove}
                       onClose=${() => setAsking(false)}>
                <p>${t('messages.deleteAsk', { n })}</p>
            <//>`}`;
}
