// A message is edited and sent again, as a new one.

import { covers, mayChange, sendTopics } from '../access.js';
import { ask, send } from '../api.js';
import { Dialog } from '../components/dialog.js';
import { TopicField } from '../components/topic-field.js';
import { html, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { currentAccess } from '../session.js';

export function Resend({ message, onDone, onClose }) {
    const access = currentAccess();
    const topics = sendTopics(access);
    const [fields, setFields] = useState({ topic: message.Topic,
        data: message.MessageData, delay: '0', remove: false });
    const set = (name) => (e) => setFields(
        { ...fields, [name]: e.target.value });

    async function resend() {
        const code = await send(fields.topic, fields.data,
            Number(fields.delay));

        if (fields.remove) {
            await ask('DelMessage', { messageCode: message.MessageCode });
        }

        onDone(t('send.accepted', { code }), fields.remove);
    }

    return html`
        <${Dialog} title=${t('resend.title')} action=${t('send.send')}
                   danger=${false} onConfirm=${resend} onClose=${onClose}
                   disabled=${!covers(topics, fields.topic)} wide>
            <div class="stack">
                <${TopicField} value=${fields.topic} topics=${topics}
                               onInput=${set('topic')} />
                <label>${t('message.data')}
                    <textarea rows="10" value=${fields.data} spellcheck="false"
                              onInput=${set('data')}></textarea>
                </label>
                <label>${t('send.delay')}
                    <input type="number" min="0" step="any" required
                           value=${fields.delay} onInput=${set('delay')} />
                </label>
                ${mayChange(access, message.Topic) && html`
                    <label class="radio">
                        <input type="checkbox" checked=${fields.remove}
                               onChange=${() => setFields({ ...fields,
                                   remove: !fields.remove })} />
                        ${t('resend.remove')}
                    </label>`}
            </div>
        <//>`;
}
