// A question before something is done that cannot be undone.

import { html, useEffect, useRef, useState } from '../html.js';
import { t } from '../i18n/index.js';
import { errorText } from './state.js';

// Opens it, and gives the focus back when it goes: to where it was, or to the
// page when it was done, as what it was opened from may go, too.
function useModal() {
    const dialog = useRef(null);
    const done = useRef(false);

    useEffect(() => {
        const { current } = dialog;
        const before = document.activeElement;

        current.showModal();

        return () => {
            current.close();
            (done.current ? document.querySelector('main h1')
                : before)?.focus();
        };
    }, []);

    return { dialog, done };
}

/*
 * onConfirm may return a promise: the dialog stays until it is kept, and shows
 * why when it is broken.
 */
export function Dialog({ title, action, danger = true, disabled = false,
    wide = false, onConfirm, onClose, children }) {
    const { dialog, done } = useModal();
    const [busy, setBusy] = useState(false);
    const [error, setError] = useState(null);

    async function confirm(event) {
        event.preventDefault();
        setBusy(true);
        setError(null);

        try {
            await onConfirm();
            done.current = true;
            onClose();
        } catch (e) {
            setError(e);
            setBusy(false);
        }
    }

    const cancel = (event) => {
        event.preventDefault();
        onClose();
    };

    return html`
        <dialog ref=${dialog} class=${wide ? 'wide' : ''}
                aria-labelledby="dialog-title" onCancel=${cancel} onClose=${onClose}>
            <form onSubmit=${confirm}>
                <h2 id="dialog-title">${title}</h2>
                ${children}
                <div role="alert">
                    ${error && html`<p class="trouble">${errorText(error)}</p>`}
                </div>
                <div class="buttons">
                    <button type="button" onClick=${onClose}>
                        ${t('action.cancel')}
                    </button>
                    <button type="submit" disabled=${busy || disabled}
                            class=${danger ? 'danger' : 'primary'}>
                        ${action}
                    </button>
                </div>
            </form>
        </dialog>`;
}
