// Language and colours.

import { html } from '../html.js';
import { t } from '../i18n/index.js';
import { THEMES } from '../theme.js';

const LANGUAGES = [['en', 'English'], ['zh', '中文']];

export function Choices({ language, theme, onLanguage, onTheme }) {
    return html`
        <div class="choices">
            <label>
                <span class="unseen">${t('choice.language')}</span>
                <select value=${language}
                        onChange=${(e) => onLanguage(e.target.value)}>
                    ${LANGUAGES.map(([code, name]) => html`
                        <option key=${code} value=${code} lang=${code}
                                selected=${code === language}>
                            ${name}
                        </option>`)}
                </select>
            </label>
            <label>
                <span class="unseen">${t('choice.theme')}</span>
                <select value=${theme}
                        onChange=${(e) => onTheme(e.target.value)}>
                    ${THEMES.map((name) => html`
                        <option key=${name} value=${name}
                                selected=${name === theme}>
                            ${t(`theme.${name}`)}
                        </option>`)}
                </select>
            </label>
        </div>`;
}
