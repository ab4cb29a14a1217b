// What a page shows besides its data: its heading, that data is on its way,
// that there is none, that something failed.

import { serverText } from '../errors.js';
import { html } from '../html.js';
import { t } from '../i18n/index.js';

// The heading that gets the focus when one comes to the page.
export function Heading({ children, actions }) {
    return html`
        <div class="heading">
            <h1 tabindex="-1">${children}</h1>
            ${actions}
        </div>`;
}

export function errorText(error) {
    if (error.status === 0) {
        return t('error.connection');
    }

    return error.message ? serverText(error.message)
        : t('error.status', { status: error.status });
}

// Old data stays below it.  That nobody answers is said above the page.
export function Trouble({ error }) {
    return html`
        <div role="alert" class="trouble-place">
            ${error && error.status !== 0 && html`
                <p class="trouble">
                    ${errorText(error)} ${t('error.retrying')}
                </p>`}
        </div>`;
}

// shape: what is to come, so that nothing moves when it is there: rows, tiles
// or charts
export function Loading({ n = 8, shape = 'rows' }) {
    return html`
        <div class=${`loading ${shape}`} role="status">
            <span class="unseen">${t('state.loading')}</span>
            ${Array.from({ length: n }, (_, i) => html`
                <div key=${i} class="bone"></div>`)}
        </div>`;
}

export function Empty({ title, children }) {
    return html`
        <div class="empty">
            <p class="empty-title">${title}</p>
            ${children}
        </div>`;
}
