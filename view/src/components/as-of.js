// When a list was asked for: it is not refreshed by itself.

import { duration, time } from '../format.js';
import { html, useEffect, useState } from '../html.js';
import { t } from '../i18n/index.js';

const TICK = 5;                    // s
const OLD = 10;

// at: s
export function AsOf({ at, busy, onRefresh }) {
    const [now, setNow] = useState(at);
    const age = now - at;

    useEffect(() => {
        setNow(at);

        const timer = setInterval(() => setNow(Date.now() / 1000),
            TICK * 1000);

        return () => clearInterval(timer);
    }, [at]);

    return html`
        <span class=${age < OLD ? 'as-of' : 'as-of old'}>
            ${age < OLD ? t('list.asOf', { time: time(at) })
                : t('list.old', { time: time(at), age: duration(age) })}
        </span>
        <button type="button" class="small" disabled=${busy}
                onClick=${onRefresh}>
            ${t('list.refresh')}
        </button>`;
}
