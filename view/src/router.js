// Where in the page we are: #/Page or #/Page/parameter, and what of it is asked
// for: ?name=value.

import { useEffect, useState } from './html.js';

export const PAGES = ['Console', 'Topics', 'Clients', 'Messages', 'Send',
    'Configuration', 'Cluster', 'Access'];

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return '';
    }
}

// A page that is not there is UNKNOWN; its parameter is what was asked for.
export const UNKNOWN = 'Unknown';

export function parse(hash) {
    const path = hash.replace(/^#\/?/, '');
    const [place, search = ''] = path.split(/\?(.*)/s, 2);
    const [page, parameter = ''] = place.split('/', 2);

    if (place === '') {
        return { page: PAGES[0], parameter: '', query: {} };
    }

    if (!PAGES.includes(page)) {
        return { page: UNKNOWN, parameter: decoded(place) || place,
            query: {} };
    }

    return { page, parameter: decoded(parameter),
        query: Object.fromEntries(new URLSearchParams(search)) };
}

// Of the query what is empty is left out.
export function link(page, parameter = '', query = {}) {
    const place = parameter === '' ? [page]
        : [page, encodeURIComponent(parameter)];
    const search = String(new URLSearchParams(
        Object.entries(query).filter(([, value]) => value !== '')));

    return `#/${place.join('/')}${search && '?'}${search}`;
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
