// What a list is narrowed down to; it is in the address.

import { html } from '../html.js';
import { t } from '../i18n/index.js';
import { link } from '../router.js';

export function StateField({ page, parameter, states, value = '' }) {
    const change = (e) => {
        location.hash = link(page, parameter, { state: e.target.value });
    };

    return html`
        <label>
            ${t('client.state')}
            <select value=${value} onChange=${change}>
                ${['', ...Object.keys(states)].map((name) => html`
                    <option key=${name} value=${name}
                            selected=${name === value}>
                        ${t(`state.${name || 'any'}`)}
                    </option>`)}
            </select>
        </label>`;
}
