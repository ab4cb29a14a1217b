// The mark of KapokMQ: a K whose arms carry seeds.  index.html has the same as
// the icon of its tab.

import { html } from '../html.js';

export function Mark() {
    return html`
        <svg class="mark" viewBox="0 0 32 32" aria-hidden="true"
             focusable="false">
            <rect width="32" height="32" rx="7" fill="#00677a" />
            <path d="M10 7v18M10 16l10-7M10 16l10 7" fill="none"
                  stroke="#fff" stroke-width="3.5" stroke-linecap="round" />
            <circle cx="22.5" cy="8" r="3.5" fill="#9fe3ee" />
            <circle cx="22.5" cy="24" r="3.5" fill="#9fe3ee" />
        </svg>`;
}
