import { ask } from '../api.js';
import { Heading, Loading, Trouble } from '../components/state.js';
import { html } from '../html.js';
import { has, t } from '../i18n/index.js';
import { usePoll } from '../poll.js';
import { link } from '../router.js';

const INTERVAL = 10000;            // ms

const text = (value) => (value === null || value === undefined ? '–'
    : String(value));

function place(setting) {
    if (!setting.File) {
        return t('config.default');
    }

    return t('config.place', {
        file: setting.File.split('/').pop(),
        line: setting.Line,
    });
}

function value(setting) {
    return setting.Secret ? t(`config.secret.${setting.Secret}`)
        : text(setting.Value);
}

// A topic's own settings have no default of their own.
function tone(setting) {
    if (setting.Secret) {
        return setting.Secret === 'default' ? 'warn' : 'own';
    }

    return setting.Value !== setting.Default ? 'own' : '';
}

function meaning(key) {
    const name = `setting.${key}.text`;

    return has(name) ? t(name) : '';
}

function Settings({ caption, settings, withDefault }) {
    return html`
        <div class="table-place" tabindex="0" role="region"
             aria-label=${caption}>
            <table class="settings">
                <caption class="unseen">${caption}</caption>
                <thead>
                    <tr>
                        <th scope="col">${t('config.key')}</th>
                        <th scope="col">${t('config.value')}</th>
                        ${withDefault && html`
                            <th scope="col">${t('config.default')}</th>`}
                        <th scope="col">${t('config.where')}</th>
                        <th scope="col">${t('config.meaning')}</th>
                    </tr>
                </thead>
                <tbody>
                    ${settings.map((setting) => html`
                        <tr key=${setting.Key}>
                            <th scope="row"><code>${setting.Key}</code></th>
                            <td class=${`value ${tone(setting)}`}>
                                ${value(setting)}
                            </td>
                            ${withDefault && html`
                                <td class="soft">${text(setting.Default)}</td>
                            `}
                            <td class=${setting.File ? '' : 'soft'}
                                title=${setting.File ?? ''}>
                                ${place(setting)}
                            </td>
                            <td class="meaning">${meaning(setting.Key)}</td>
                        </tr>`)}
                </tbody>
            </table>
        </div>`;
}

export function Configuration() {
    const { data, error } = usePoll(
        (signal) => ask('GetSettings', {}, signal), [], INTERVAL);

    return html`
        <${Heading}>${t('page.Configuration')}<//>
        <${Trouble} error=${error} />
        <p class="soft">${t('config.intro')}</p>
        ${data === null ? html`<${Loading} n=${20} />` : html`
            <${Settings} caption=${t('page.Configuration')}
                         settings=${data.data} withDefault />
            ${data.topics.length > 0 && html`
                <h2>${t('config.topics')}</h2>
                ${data.topics.map(({ Topic, Settings: own }) => html`
                    <section key=${Topic}>
                        <h3><a href=${link('Topics', Topic)}>${Topic}</a></h3>
                        <${Settings} caption=${Topic} settings=${own} />
                    </section>`)}`}`}`;
}
