import { covers, firstTopic, listenTopics, sendTopics, titleOf }
    from '../access.js';
import { send } from '../api.js';
import { MessageFields } from '../components/message-fields.js';
import { Heading, errorText } from '../components/state.js';
import { html, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { currentAccess } from '../session.js';
import { Listen } from './listen.js';

function Sender({ topics }) {
    const [fields, setFields] = useState({ topic: firstTopic(topics),
        data: '{"hello":"world"}', delay: '0' });
    const [busy, setBusy] = useState(false);
    const [answer, setAnswer] = useState('');
    const [error, setError] = useState(null);

    async function submit(event) {
        event.preventDefault();
        setBusy(true);
        setError(null);
        setAnswer('');

        try {
            const code = await send(fields.topic, fields.data,
                Number(fields.delay));

            setAnswer(t('send.accepted', { code }));
        } catch (e) {
            setError(e);
        }

        setBusy(false);
    }

    return html`
        <section aria-labelledby="send-title" class="pane">
            <h2 id="send-title">${t('send.title')}</h2>
            <form onSubmit=${submit} class="stack">
                <${MessageFields} fields=${fields} setFields=${setFields}
                                 topics=${topics} rows="6" />
                <button type="submit" class="primary"
                        disabled=${busy || !covers(topics, fields.topic)}>
                    ${t('send.send')}
                </button>
            </form>
            <p role="status" class="done break">${answer}</p>
            <div role="alert">
                ${error && html`<p class="trouble">${errorText(error)}</p>`}
            </div>
        </section>`;
}

export function Send() {
    const access = currentAccess();
    const out = sendTopics(access);
    const into = listenTopics(access);

    return html`
        <${Heading}>${t(titleOf(access, 'Send'))}<//>
        ${out.length > 0 && into.length > 0 && html`
            <p class="soft">${t('send.intro')}</p>`}
        <div class="panes">
            ${out.length > 0 && html`<${Sender} topics=${out} />`}
            ${into.length > 0 && html`
                <${Listen} topics=${into} id=${access.Id} />`}
        </div>`;
}
