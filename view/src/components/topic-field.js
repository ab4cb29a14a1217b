// Where a topic is typed.

import { html, useRef } from '../html.js';
import { t } from '../i18n/index.js';

const SHOWN = 8;                   // of the topics that are allowed

let fields = 0;

// topics: those that are allowed, which are told unless all are
export function TopicField({ value, topics, disabled, onInput }) {
    const id = useRef(null);
    const all = topics.includes('*');
    const list = topics.slice(0, SHOWN).join(', ');

    id.current ??= `topic-${++fields}`;

    return html`
        <div>
            <label>${t('topic.name')}
                <input required maxlength="255" value=${value}
                       disabled=${disabled} onInput=${onInput}
                       aria-describedby=${all ? undefined : id.current} />
            </label>
            ${!all && html`
                <p id=${id.current} class="soft hint">
                    ${t('topic.allowed', { topics: topics.length > SHOWN
                        ? `${list} …` : list })}
                </p>`}
        </div>`;
}
