// Tables whose rows one can sort, and see more of.

import { html, useRef, useState } from '../html.js';
import { number } from '../format.js';
import { t } from '../i18n/index.js';
import { inOrder, sorted } from '../statistics.js';
import { Icon } from './icon.js';

const ROWS = 100;

const classOf = (column) => `${column.class ?? ''} ${column.extra ? 'extra'
    : ''}`;

function HeadCell({ column, order, onSort }) {
    const here = order.column === column.name;
    const sort = here ? (order.descending ? 'descending' : 'ascending')
        : 'none';

    if (column.fixed) {
        return html`
            <th scope="col" role="columnheader" class=${classOf(column)}>
                <span class=${column.label ? '' : 'unseen'}>
                    ${column.label || t('table.actions')}
                </span>
            </th>`;
    }

    return html`
        <th scope="col" role="columnheader" class=${classOf(column)}
            aria-sort=${sort}>
            <button type="button" onClick=${() => onSort(column)}>
                ${column.label}
                <span class=${here ? 'sorted' : 'sorted unused'}>
                    <${Icon} name=${order.descending ? 'down' : 'up'} />
                </span>
            </button>
        </th>`;
}

/*
 * The rows as they are to be shown.  They do not change places while the
 * pointer or the focus is among them, unless it is asked for.
 */
function useOrder(rows, id, order) {
    const body = useRef(null);
    const last = useRef({ order: null, ids: [] });
    const held = last.current.order === order
        && body.current?.matches(':hover, :focus-within');
    const wanted = sorted(rows, order.column, order.descending);
    const list = held ? inOrder(wanted, id, last.current.ids) : wanted;

    last.current = { order, ids: list.map(id) };

    return { list, body };
}

/*
 * columns: {name, label, class, cell(row), fixed (not to be sorted by),
 * descending (the first order), extra (only where there is room, or it is asked
 * for)}; rows: objects; id(row): what stays the same; start: the column that
 * they are sorted by at first, in its first order, if any.  On a telephone a
 * row is a card, which is said to be a row all the same.
 */
export function Table({ caption, columns, rows, id, start, ...rest }) {
    const [order, setOrder] = useState({ column: start, descending: Boolean(
        columns.find(({ name }) => name === start)?.descending) });
    const [shown, setShown] = useState(ROWS);
    const [all, setAll] = useState(false);
    const { list, body } = useOrder(rows, id, order);

    const onSort = (column) => setOrder((old) => ({
        column: column.name,
        descending: old.column === column.name ? !old.descending
            : Boolean(column.descending),
    }));

    return html`
        ${columns.some(({ extra }) => extra) && html`
            <p class="all-columns">
                <label class="radio">
                    <input type="checkbox" checked=${all}
                           onChange=${() => setAll(!all)} />
                    ${t('table.allColumns')}
                </label>
            </p>`}
        <div class="table-place" tabindex="0" role="region"
             aria-label=${caption}>
            <table class=${`cards ${all ? 'all' : ''} ${rest.class ?? ''}`}
                   role="table">
                <caption class="unseen">${caption}</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        ${columns.map((column) => html`
                            <${HeadCell} key=${column.name} column=${column}
                                         order=${order} onSort=${onSort} />`)}
                    </tr>
                </thead>
                <tbody ref=${body} role="rowgroup">
                    ${list.slice(0, shown).map((row) => html`
                        <tr key=${id(row)} role="row">
                            ${columns.map((column) => html`
                                <td key=${column.name} role="cell"
                                    class=${classOf(column)}
                                    data-label=${column.label}
                                    title=${column.class === 'name'
                                        ? row[column.name] : undefined}>
                                    ${column.cell(row)}
                                </td>`)}
                        </tr>`)}
                </tbody>
            </table>
        </div>
        ${list.length > shown && html`
            <p class="more">
                ${t('table.shown', { n: number(shown),
                    all: number(list.length) })}
                <button type="button" onClick=${() => setShown(shown + ROWS)}>
                    ${t('table.more')}
                </button>
            </p>`}`;
}
