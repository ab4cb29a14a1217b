import { accessOf } from '../api.js';
import { Choices } from '../components/choices.js';
import { Mark } from '../components/mark.js';
import { errorText } from '../components/state.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { signIn, whyEnded } from '../session.js';

const PROBLEMS = { 401: 'wrong', 403: 'forbidden', 429: 'tooMany' };

const problemText = (error) => (error.status in PROBLEMS
    ? t(`login.${PROBLEMS[error.status]}`) : errorText(error));

export function Login({ choices }) {
    const field = useRef(null);
    const [busy, setBusy] = useState(false);
    const [problem, setProblem] = useState(
        whyEnded() && t(`login.${whyEnded()}`));

    useEffect(() => field.current.focus(), []);

    async function submit(event) {
        event.preventDefault();

        const key = field.current.value;

        setBusy(true);
        setProblem('');

        try {
            signIn(key, await accessOf(key));
        } catch (error) {
            setProblem(problemText(error));
            setBusy(false);
            field.current.select();
        }
    }

    return html`
        <main class="login">
            <form onSubmit=${submit}>
                <h1><${Mark} />KapokMQ</h1>
                <input hidden autocomplete="username" value="KapokMQ" />
                <label for="key">${t('login.key')}</label>
                <input id="key" ref=${field} type="password" required
                       autocomplete="current-password"
                       aria-describedby="key-help" />
                <p id="key-help" class="soft">${t('login.help')}</p>
                <div role="alert">
                    ${problem && html`<p class="trouble">${problem}</p>`}
                </div>
                <button type="submit" class="primary" disabled=${busy}>
                    ${t('login.signIn')}
                </button>
            </form>
            <${Choices} ...${choices} />
        </main>`;
}
