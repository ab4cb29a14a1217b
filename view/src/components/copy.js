// Copies a text to the clipboard.

import { html, useEffect, useState } from '../html.js';
import { t } from '../i18n/index.js';

const SHOWN = 2000;                // ms

// A page that came without TLS has no navigator.clipboard.
function copySelected(text) {
    const field = document.createElement('textarea');

    field.className = 'unseen';
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
}

export function Copy({ text, label }) {
    const [done, setDone] = useState(false);

    useEffect(() => {
        const timer = done && setTimeout(() => setDone(false), SHOWN);

        return () => clearTimeout(timer);
    }, [done]);

    async function copy({ currentTarget }) {
        if (navigator.clipboard) {
            await navigator.clipboard.writeText(text);
        } else {
            copySelected(text);
            currentTarget.focus();
        }

        setDone(true);
    }

    return html`
        <button type="button" class="small" onClick=${copy}>${label}</button>
        <span role="status" class="copied">
            ${done && t('action.copied')}
        </span>`;
}
