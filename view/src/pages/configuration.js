import { ask } from '../api.js';
import { Heading, Loading, Trouble } from '../components/state.js';
import { Table } from '../components/table.js';
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

const columns = (withDefault) => [
    { name: 'Key', label: t('config.key'),
        cell: ({ Key }) => html`<code>${Key}</code>` },
    { name: 'Value', label: t('config.value'), class: 'value',
        cell: (setting) => html`
            <span class=${tone(setting)}>${value(setting)}</span>` },
    withDefault && { name: 'Default', label: t('config.default'),
        class: 'soft', cell: (setting) => text(setting.Default) },
    { name: 'File', label: t('config.where'), class: 'wide',
        cell: (setting) => html`
        <span class=${setting.File ? '' : 'soft'} title=${setting.File ?? ''}>
            ${place(setting)}
        </span>` },
    { name: 'Meaning', label: t('config.meaning'), class: 'meaning',
        cell: ({ Key }) => meaning(Key) },
].filter(Boolean).map((column) => ({ ...column, fixed: true }));

function Settings({ caption, settings, withDefault }) {
    return html`
        <${Table} caption=${caption} columns=${columns(withDefault)}
                  rows=${settings} id=${({ Key }) => Key} class="settings" />`;
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
