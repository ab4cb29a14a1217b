// Lines over time, with uPlot; the same as a table for those who do not see.

import uPlot from 'uplot';
import { html, useEffect, useRef, useState } from '../html.js';
import { compact, number } from '../format.js';
import { t } from '../i18n/index.js';
import { colour, onColours } from '../theme.js';

const HEIGHT = 200;
const LABEL = 60;                  // px, of a named time
const FONT = '12px system-ui, sans-serif';

// 1, 2, 5, 10, ...: messages are counted in whole numbers
const STEPS = Array.from({ length: 12 }, (_, i) => [1, 2, 5]
    .map((n) => n * 10 ** i)).flat();

function axis(settings) {
    return {
        stroke: colour('text-soft'),
        grid: { stroke: colour('line'), width: 1 },
        ticks: { show: false },
        font: FONT,
        ...settings,
    };
}

// The last time always has its name, and others as far as there is room.
function named(times, width) {
    const step = Math.ceil((times.length - 1) * LABEL / width);

    return times.filter((_, i) => (times.length - 1 - i) % step === 0);
}

function options(width, { times, series, byDay, label }, onCursor) {
    return {
        width,
        height: HEIGHT,
        padding: [8, byDay ? LABEL / 2 : 20, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: {
            y: { range: (u, low, high) => [0, Math.max(high * 1.1, 1)] },
        },
        axes: [
            axis({
                size: 28,
                values: (u, splits) => splits.map(label),
                splits: byDay && ((u) => named(u.data[0], u.bbox.width
                    / devicePixelRatio)),
            }),
            axis({
                size: 48,
                values: (u, splits) => splits.map(compact),
                incrs: STEPS,
            }),
        ],
        series: [{}, ...series.map((line) => ({
            stroke: colour(line.colour),
            width: 2,
            dash: line.dash,
            points: { show: Boolean(byDay), size: 6 },
        }))],
        hooks: { setCursor: [({ cursor, over }) => onCursor(
            cursor.idx === null || cursor.left < 0 ? null : {
                i: cursor.idx,
                left: over.offsetLeft + cursor.left,
                right: over.offsetLeft + cursor.left > width / 2,
            })] },
    };
}

function Key({ line }) {
    return html`
        <svg viewBox="0 0 16 4" class=${`key key-${line.colour}`}>
            <line x1="0" y1="2" x2="16" y2="2" stroke="currentColor"
                  stroke-width="3" stroke-dasharray=${line.dash?.join(' ')} />
        </svg>`;
}

function Legend({ series }) {
    return html`
        <p class="legend" aria-hidden="true">
            ${series.map((line) => html`
                <span key=${line.label}>
                    <${Key} line=${line} />${line.label}
                </span>`)}
        </p>`;
}

// What the lines are at where one points.
function Tip({ cursor, times, series, label }) {
    const { i, left, right } = cursor;
    const place = right ? { right: `calc(100% - ${left - 12}px)` }
        : { left: `${left + 12}px` };

    return html`
        <div class="tip" style=${place}>
            <b>${label(times[i])}</b>
            ${series.map((line) => html`
                <div key=${line.label}>
                    <${Key} line=${line} />${line.label}
                    <span>${number(line.values[i])}</span>
                </div>`)}
        </div>`;
}

function DataTable({ title, times, series, label }) {
    return html`
        <details class="chart-data">
            <summary>${t('chart.asTable')}</summary>
            <div class="table-place" tabindex="0" role="region"
                 aria-label=${title}>
                <table>
                    <caption class="unseen">${title}</caption>
                    <thead>
                        <tr>
                            <th scope="col">${t('chart.time')}</th>
                            ${series.map((line) => html`
                                <th key=${line.label} scope="col"
                                    class="number">${line.label}</th>`)}
                        </tr>
                    </thead>
                    <tbody>
                        ${times.map((time, i) => html`
                            <tr key=${time}>
                                <th scope="row">${label(time)}</th>
                                ${series.map((line) => html`
                                    <td key=${line.label} class="number">
                                        ${number(line.values[i])}
                                    </td>`)}
                            </tr>`)}
                    </tbody>
                </table>
            </div>
        </details>`;
}

const columns = ({ times, series }) => [times,
    ...series.map((line) => line.values)];

// Makes the drawing, and makes it anew when its size, its colours or its
// language change.
function useDrawing(props, onCursor) {
    const place = useRef(null);
    const drawing = useRef(null);
    const latest = useRef(props);

    latest.current = props;

    useEffect(() => {
        const box = place.current;

        function draw() {
            drawing.current?.destroy();
            drawing.current = new uPlot(options(box.clientWidth,
                latest.current, onCursor), columns(latest.current), box);
        }

        const resized = new ResizeObserver(() => {
            if (box.clientWidth !== drawing.current?.width) {
                draw();
            }
        });
        const stop = onColours(draw);

        resized.observe(box);

        return () => {
            stop();
            resized.disconnect();
            drawing.current?.destroy();
            drawing.current = null;
        };
    }, [props.language]);

    useEffect(() => {
        drawing.current?.setData(columns(props));
    }, [props.times, props.series]);

    return place;
}

/*
 * times: seconds, ascending; series: {label, colour, dash, values}; label(time)
 * names a time on the axis, fullLabel(time) elsewhere; byDay: each time is one
 * to be named and marked.
 */
export function Chart(props) {
    const [cursor, setCursor] = useState(null);
    const place = useDrawing(props, setCursor);
    const { title, times, series, fullLabel = props.label } = props;

    return html`
        <figure class="chart">
            <figcaption>${title}</figcaption>
            <${Legend} series=${series} />
            <div class="plot" aria-hidden="true">
                <div class="drawing" ref=${place}></div>
                ${cursor && cursor.i < times.length && html`
                    <${Tip} cursor=${cursor} times=${times} series=${series}
                            label=${fullLabel} />`}
            </div>
            <${DataTable} title=${title} times=${times} series=${series}
                          label=${fullLabel} />
        </figure>`;
}
