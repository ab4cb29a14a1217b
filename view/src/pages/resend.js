// A message is edited and sent again, as a new one.

import { covers, mayChange, sendTopics } from '../access.js';
import { ask, send } from '../api.js';
import { Dialog } from '../components/dialog.js';
import { MessageFields } from '../components/message-fields.js';
import { html, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { currentAccess } from '../session.js';

export function Resend({ message, onDone, onClose }) {
    const access = currentAccess();
    const topics = sendTopics(access);
    const [fields, setFields] = useState({ topic: message.Topic,
        data: message.MessageData, delay: '0', remove: false });

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
                <${MessageFields} fields=${fields} setFields=${setFields}
                                 topics=${topics} rows="10" />
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
