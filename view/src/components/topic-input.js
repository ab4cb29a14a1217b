// Where a topic, or a part of its name, is typed; what there is is suggested.

import { get } from '../api.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { useSettled } from '../poll.js';

const SUGGESTED = 20;

let fields = 0;

function useTopics(text) {
    const [topics, setTopics] = useState([]);
    const wanted = useSettled(text);

    useEffect(() => {
        const request = new AbortController();

        get('GetTopics', { limit: SUGGESTED, ...(wanted && { search: wanted }) },
            request.signal).then((list) => setTopics(
            list.map(({ Topic }) => Topic).sort()), () => {});

        return () => request.abort();
    }, [wanted]);

    return topics;
}

export function TopicInput({ label, value, onInput }) {
    const id = useRef(null);
    const topics = useTopics(value);

    id.current ??= `topics-${++fields}`;

    return html`
        <label>${label}
            <input value=${value} maxlength="255" list=${id.current}
                   onInput=${onInput} spellcheck="false" autocomplete="off" />
        </label>
        <datalist id=${id.current}>
            ${topics.map((topic) => html`
                <option key=${topic} value=${topic} />`)}
        </datalist>`;
}
