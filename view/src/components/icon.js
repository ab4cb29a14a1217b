// Small drawings, 16 by 16, in the colour of the text beside them.

import { html } from '../html.js';

const PATHS = {
    Console: 'M2 9h3l2-6 3 10 2-4h2',
    Topics: 'M3 3h10M3 8h10M3 13h10',
    Clients: 'M8 7a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM3 14c0-3 2-4.5 5-4.5'
        + 's5 1.5 5 4.5',
    Messages: 'M2 4h12v8H2zM2 4l6 5 6-5',
    Send: 'M2 8l12-5-4 11-3-4.5z',
    Configuration: 'M2 5h7M13 5h1M2 11h1M7 11h7M11 3v4M5 9v4',
    Cluster: 'M8 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM3.5 14a2 2 0 1 0 0-4 2 2 0 0 0 '
        + '0 4zM12.5 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7 6l-2.5 4M9 6l2.5 4M6 12h4',
    Access: 'M10 8.5a3.5 3.5 0 1 0-3-1.7L2 11.8V14h2.2v-1.8H6v-1.8h1.8L8 8'
        + 'M11 5h.01',
    up: 'M4 10l4-4 4 4',
    down: 'M4 6l4 4 4-4',
};

export function Icon({ name }) {
    return html`
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"
             focusable="false">
            <path d=${PATHS[name]} fill="none" stroke="currentColor"
                  stroke-width="1.5" stroke-linecap="round"
                  stroke-linejoin="round" />
        </svg>`;
}
