// A message's data: text, whatever it looks like and however much it is.

import { html, useMemo, useState } from '../html.js';
import { number } from '../format.js';
import { t } from '../i18n/index.js';
import { beginning, chunks, codePoint, parts, pretty } from '../text.js';

// A text in which what cannot be seen is shown by its code.
export function Text({ text }) {
    const all = parts(text);

    return all.length === 1 ? text : all.map((part, i) => (i % 2 === 0 ? part
        : html`<span key=${i} class="char">${codePoint(part)}</span>`));
}

// What is out of sight is not drawn.
const Pieces = ({ text }) => chunks(text).map((piece, i) => html`
    <div key=${i} class="piece"><${Text} text=${piece} /></div>`);

// cut: how many characters are shown at first
export function Data({ text, cut }) {
    const [all, setAll] = useState(false);
    const whole = useMemo(() => pretty(text), [text]);
    const long = !all && whole.length > cut;
    const shown = long ? beginning(whole, cut) : whole;
    const drawn = useMemo(() => html`<${Pieces} text=${shown} />`, [shown]);

    if (text === '') {
        return html`<p class="soft">${t('message.noData')}</p>`;
    }

    return html`
        <pre class="data" tabindex="0"><code>${drawn}</code></pre>
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
