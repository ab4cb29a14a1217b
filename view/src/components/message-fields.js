// What a message is made of, in a form: topic, data and delay.

import { html } from '../html.js';
import { t } from '../i18n/index.js';
import { TopicField } from './topic-field.js';

// setFields is given the fields anew, others that the form has with them.
export function MessageFields({ fields, setFields, topics, rows }) {
    const set = (name) => (e) => setFields(
        { ...fields, [name]: e.target.value });

    return html`
        <${TopicField} value=${fields.topic} topics=${topics}
                       onInput=${set('topic')} />
        <label>${t('message.data')}
            <textarea rows=${rows} value=${fields.data} spellcheck="false"
                      onInput=${set('data')}></textarea>
        </label>
        <label>${t('send.delay')}
            <input type="number" min="0" step="any" required
                   value=${fields.delay} onInput=${set('delay')} />
        </label>`;
}
