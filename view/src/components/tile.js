// A figure with its name and what there is to say of it.

import { html } from '../html.js';

// href: where there is more of it
export function Tile({ label, value, note, more, meter, href, tone = '' }) {
    return html`
        <div class=${`tile ${tone}`} role="group" aria-label=${label}>
            <div class="tile-label">
                ${href ? html`<a href=${href}>${label}</a>` : label}
            </div>
            <div class="tile-value">${value}</div>
            ${meter !== undefined && html`
                <meter min="0" max="1" high="0.75" optimum="0"
                       value=${meter} aria-label=${label}></meter>`}
            ${note && html`<div class="tile-note">${note}</div>`}
            ${more && html`<div class="tile-note">${more}</div>`}
        </div>`;
}
