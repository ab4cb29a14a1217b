// Where in the page we are: #/Page or #/Page/parameter.

import { useEffect, useState } from './html.js';

export const PAGES = ['Console', 'Topics', 'Clients', 'Messages', 'Send',
    'Configuration', 'Access'];

export function parse(hash) {
    const [page, parameter = ''] = hash.replace(/^#\/?/, '').split('/', 2);

    if (!PAGES.includes(page)) {
        return { page: PAGES[0], parameter: '' };
    }

    try {
        return { page, parameter: decodeURIComponent(parameter) };
    } catch {
        return { page, parameter: '' };
    }
}

export function link(page, parameter) {
    return parameter === undefined
        ? `#/${page}` : `#/${page}/${encodeURIComponent(parameter)}`;
}

export function useRoute() {
    const [route, setRoute] = useState(parse(location.hash));

    useEffect(() => {
        const changed = () => setRoute(parse(location.hash));

        addEventListener('hashchange', changed);
        return () => removeEventListener('hashchange', changed);
    }, []);

    return route;
}
