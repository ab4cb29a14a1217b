// A message's data: text, whatever it looks like.

import { html, useMemo, useState } from '../html.js';
import { number, pretty } from '../format.js';
import { t } from '../i18n/index.js';

// cut: how many characters are shown at first
export function Data({ text, cut }) {
    const [all, setAll] = useState(false);
    const whole = useMemo(() => pretty(text), [text]);
    const long = !all && whole.length > cut;

    if (text === '') {
        return html`<p class="soft">${t('message.noData')}</p>`;
    }

    return html`
        <pre class="data" tabindex="0"><code>${long ? whole.slice(0, cut)
            : whole}</code></pre>
        ${long && html`
            <p class="more">
                ${t('message.cut', { n: number(cut),
                    all: number(whole.length) })}
                <button type="button" class="small"
                        onClick=${() => setAll(true)}>
                    ${t('message.showAll')}
                </button>
            </p>`}`;
}
