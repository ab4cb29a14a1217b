// What is around every page: navigation, choices, and the page's place.

import { mayOpen, titleOf } from '../access.js';
import { useConnection } from '../connection.js';
import { time } from '../format.js';
import { html } from '../html.js';
import { t } from '../i18n/index.js';
import { PAGES, link } from '../router.js';
import { signOut } from '../session.js';
import { Choices } from './choices.js';
import { Icon } from './icon.js';
import { Mark } from './mark.js';

function Navigation({ page, access }) {
    const pages = PAGES.filter((name) => mayOpen(access, name));

    return html`
        <nav aria-label=${t('nav.pages')}>
            <ul>
                ${pages.map((name) => html`
                    <li key=${name}>
                        <a href=${link(name)}
                           aria-current=${name === page ? 'page' : undefined}>
                            <${Icon} name=${name} />
                            <span>${t(titleOf(access, name))}</span>
                        </a>
                    </li>`)}
            </ul>
        </nav>`;
}

// Over everything, since all that is below is old then.
function Lost({ connection }) {
    return html`
        <div role="alert" class="lost-place">
            ${connection.lost && html`
                <p class="lost">${t('error.lost',
                    { time: time(connection.last) })}</p>`}
        </div>`;
}

export function Layout({ route, access, choices, children }) {
    const connection = useConnection();
    const skip = (event) => {
        event.preventDefault();
        document.querySelector('main h1')?.focus();
    };

    return html`
        <a class="skip" href="#main" onClick=${skip}>${t('nav.skip')}</a>
        <div class="frame">
            <header>
                <a class="brand" href=${link('Console')}>
                    <${Mark} /><span>KapokMQ</span>
                </a>
                <${Navigation} page=${route.page} access=${access} />
                <div class="header-end">
                    <${Choices} ...${choices} />
                    <button type="button" class="quiet"
                            onClick=${() => signOut()}>
                        ${t('nav.signOut')}
                    </button>
                </div>
            </header>
            <main id="main" class=${connection.lost ? 'stale' : ''}>
                <${Lost} connection=${connection} />
                ${children}
            </main>
        </div>`;
}
