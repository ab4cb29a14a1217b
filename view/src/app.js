// The whole page: who may see it, in which language and colours, and where in
// it one is.

import { mayOpen, placeOf, titleOf } from './access.js';
import { ping, refreshAccess } from './api.js';
import { watch } from './connection.js';
import { html, useEffect, useState } from './html.js';
import { Layout } from './components/layout.js';
import { Empty, Heading } from './components/state.js';
import { language, setLanguage, t } from './i18n/index.js';
import { usePoll } from './poll.js';
import { PAGES, UNKNOWN, link, useRoute } from './router.js';
import { currentAccess, currentKey, onSession } from './session.js';
import { setTheme, theme } from './theme.js';
import { Access } from './pages/access.js';
import { Clients } from './pages/clients.js';
import { Cluster } from './pages/cluster.js';
import { Configuration } from './pages/configuration.js';
import { Login } from './pages/login.js';
import { Messages } from './pages/messages.js';
import { Overview } from './pages/overview.js';
import { Send } from './pages/send.js';
import { Topic } from './pages/topic.js';
import { Topics } from './pages/topics.js';

const ACCESS_INTERVAL = 15000;     // ms

function Unknown({ name }) {
    return html`
        <${Heading}>${t('page.Unknown')}<//>
        <${Empty} title=${t('unknown.title', { name })}>
            <p><a href=${link(PAGES[0])}>${t('unknown.toFirst')}</a></p>
        <//>`;
}

function Page({ route, access }) {
    if (!mayOpen(access, route.page)) {
        return html`
            <${Heading}>${t(`page.${route.page}`)}<//>
            <${Empty} title=${t('access.noPage')} />`;
    }

    switch (route.page) {
    case 'Topics':
        return route.parameter
            ? html`<${Topic} key=${route.parameter}
                             name=${route.parameter} />`
            : html`<${Topics} state=${route.query.state} />`;
    case 'Clients':
        return html`<${Clients} search=${route.parameter}
                                state=${route.query.state}
                                key=${route.parameter} />`;
    case 'Messages':
        return html`<${Messages} route=${route} />`;
    case 'Send':
        return html`<${Send} />`;
    case 'Configuration':
        return html`<${Configuration} />`;
    case 'Cluster':
        return html`<${Cluster} />`;
    case 'Access':
        return html`<${Access} />`;
    case UNKNOWN:
        return html`<${Unknown} name=${route.parameter} />`;
    default:
        return html`<${Overview} />`;
    }
}

// Who goes to another page hears, and types, there; a search for messages leads
// to no other one.
function useFocusOnPage(route, signedIn) {
    const [first, setFirst] = useState(true);
    const parameter = route.page === 'Messages' ? '' : route.parameter;

    useEffect(() => {
        if (first) {
            setFirst(false);
        } else if (signedIn) {
            document.querySelector('main h1')?.focus();
            scrollTo(0, 0);
        }
    }, [route.page, parameter, signedIn]);
}

export function App() {
    const [, change] = useState(0);
    const access = currentAccess();
    const asked = useRoute();
    const signedIn = access !== null;
    const route = signedIn ? placeOf(access, asked) : asked;
    const again = () => change((n) => n + 1);

    useEffect(() => onSession(again), []);
    useEffect(() => (signedIn ? watch(ping) : undefined), [signedIn]);
    usePoll((signal) => currentKey() && refreshAccess(signal), [currentKey()],
        ACCESS_INTERVAL);
    useFocusOnPage(route, signedIn);

    useEffect(() => {
        document.documentElement.lang = language() === 'zh' ? 'zh-CN' : 'en';
        document.title = `${signedIn
            ? t(titleOf(access, route.page)) : t('login.signIn')} · KapokMQ`;
    });

    const choices = {
        onLanguage: (name) => {
            setLanguage(name);
            again();
        },
        onTheme: (name) => {
            setTheme(name);
            again();
        },
        language: language(),
        theme: theme(),
    };

    if (!signedIn) {
        return html`<${Login} choices=${choices} />`;
    }

    return html`
        <${Layout} route=${route} access=${access} choices=${choices}>
            <${Page} route=${route} access=${access} />
        <//>`;
}
