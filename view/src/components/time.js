// A time as short as it can be; the whole of it for who points at it.

import { NOTHING, fullTime, iso, when } from '../format.js';
import { html } from '../html.js';

export function Time({ at, full }) {
    return at ? html`
        <time dateTime=${iso(at)} title=${iso(at)}>
            ${full ? fullTime(at) : when(at)}
        </time>` : NOTHING;
}
