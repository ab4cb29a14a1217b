// The whole page: who may see it, in which language and colours, and where in
// it one is.

import { html, useEffect, useState } from './html.js';
import { Layout } from './components/layout.js';
import { language, setLanguage, t } from './i18n/index.js';
import { useRoute } from './router.js';
import { currentKey, onSession } from './session.js';
import { setTheme, theme } from './theme.js';
import { Clients } from './pages/clients.js';
import { Configuration } from './pages/configuration.js';
import { Login } from './pages/login.js';
import { Messages } from './pages/messages.js';
import { Overview } from './pages/overview.js';
import { Send } from './pages/send.js';
import { Topic } from './pages/topic.js';
import { Topics } from './pages/topics.js';

function Page({ route }) {
    switch (route.page) {
    case 'Topics':
        return route.parameter
            ? html`<${Topic} key=${route.parameter}
                             name=${route.parameter} />`
            : html`<${Topics} />`;
    case 'Clients':
        return html`<${Clients} />`;
    case 'Messages':
        return html`<${Messages} topic=${route.parameter}
                                 key=${route.parameter} />`;
    case 'Send':
        return html`<${Send} />`;
    case 'Configuration':
        return html`<${Configuration} />`;
    default:
        return html`<${Overview} />`;
    }
}

// Who goes to another page hears, and types, there.
function useFocusOnPage(route, signedIn) {
    const [first, setFirst] = useState(true);

    useEffect(() => {
        if (first) {
            setFirst(false);
        } else if (signedIn) {
            document.querySelector('main h1')?.focus();
            scrollTo(0, 0);
        }
    }, [route.page, route.parameter, signedIn]);
}

export function App() {
    const [, change] = useState(0);
    const route = useRoute();
    const signedIn = currentKey() !== null;
    const again = () => change((n) => n + 1);

    useEffect(() => onSession(again), []);
    useFocusOnPage(route, signedIn);

    useEffect(() => {
        document.documentElement.lang = language() === 'zh' ? 'zh-CN' : 'en';
        document.title = `${signedIn ? t(`page.${route.page}`)
            : t('login.signIn')} · KapokMQ`;
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
        <${Layout} route=${route} choices=${choices}>
            <${Page} route=${route} />
        <//>`;
}
