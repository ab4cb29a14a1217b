// Lines or bars over time, with uPlot; the same as a table for those who do not
// see.

import uPlot from 'uplot';
import { html, useEffect, useRef, useState } from '../html.js';
import { compact, number } from '../format.js';
import { t } from '../i18n/index.js';
import { lastSeconds } from '../statistics.js';
import { colour, onColours } from '../theme.js';

const HEIGHT = 200;
const LABEL = 60;                  // px, of a named time
const FONT = '12px system-ui, sans-serif';
const DAY = 86400;                 // s
const GROUP = 0.8 * DAY;           // of a day's bars
const FADED = '80';                // of a colour: half of it

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

const amounts = (settings) => axis({
    size: 48,
    values: (u, splits) => splits.map(compact),
    incrs: STEPS,
    ...settings,
});

// What is measured by another scale than the rest is at the right, in its own
// colour.
const rightAxis = (line) => amounts({
    scale: 'right',
    side: 1,
    grid: { show: false },
    stroke: colour(line.colour),
});

// The last time always has its name, and others as far as there is room.
function named(times, width) {
    const step = Math.ceil((times.length - 1) * LABEL / width);

    return times.filter((_, i) => (times.length - 1 - i) % step === 0);
}

// The bars of a day stand beside each other; a day that is not over is pale.
function bars(series, i, running) {
    const size = GROUP / series.length;
    const full = colour(series[i].colour);
    const begin = -GROUP / 2 + i * size;

    return {
        fill: full,
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({ disp: {
            x0: { unit: 1, values: (u) => u.data[0].map(
                (time) => time + begin) },
            size: { unit: 1, values: (u) => u.data[0].map(
                () => 0.9 * size) },
            fill: { unit: 3, values: (u) => u.data[0].map((_, n) => (
                running && n === u.data[0].length - 1
                    ? full + FADED : full)) },
        } }),
    };
}

const line = ({ colour: name, dash, right }) => ({
    stroke: colour(name),
    width: 2,
    dash,
    scale: right ? 'right' : 'y',
    points: { show: false },
});

const fromZero = { range: (u, low, high) => [0, Math.max(high * 1.1, 1)] };

// Bars need half a day before the first one, and behind the last.
function timeScale(byDay, span) {
    if (byDay) {
        return { range: (u, low, high) => [low - DAY / 2, high + DAY / 2] };
    }

    // of a single second uPlot makes a range that begins with it
    return span ? { range: (u) => lastSeconds(u.data[0].at(-1), span) } : {};
}

function options(width, { series, byDay, label, running, span }, onCursor) {
    const other = series.find(({ right }) => right);

    return {
        width,
        height: HEIGHT,
        padding: [8, byDay ? 12 : other ? 0 : 20, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false },
            points: { show: !byDay } },
        scales: { x: timeScale(byDay, span), y: fromZero, right: fromZero },
        axes: [
            axis({
                size: 28,
                space: LABEL + 10,
                values: (u, splits) => splits.map(label),
                splits: byDay && ((u) => named(u.data[0], u.bbox.width
                    / devicePixelRatio)),
            }),
            amounts(),
            other && rightAxis(other),
        ].filter(Boolean),
        series: [{}, ...series.map((one, i) => (byDay
            ? bars(series, i, running) : line(one)))],
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
                    <${Key} line=${line} />${line.right
                        ? t('chart.right', { label: line.label })
                        : line.label}
                </span>`)}
        </p>`;
}

// What the period that is not over has until now.
function SoFar({ time, series, label }) {
    const values = series.map((line) => t('chart.value', { label: line.label,
        n: number(line.values[line.values.length - 1]) }));

    return html`
        <p class="so-far">
            ${t('chart.now', { time: label(time),
                values: values.join(' · ') })}
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

function DataTable({ title, times, series, label, running }) {
    const [open, setOpen] = useState(false);
    const name = (time, i) => (running && i === times.length - 1
        ? t('chart.soFar', { time: label(time) }) : label(time));

    return html`
        <details class="chart-data"
                 onToggle=${(e) => setOpen(e.currentTarget.open)}>
            <summary>${t('chart.asTable')}</summary>
            ${open && html`<div class="table-place" tabindex="0" role="region"
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
                                <th scope="row">${name(time, i)}</th>
                                ${series.map((line) => html`
                                    <td key=${line.label} class="number">
                                        ${number(line.values[i])}
                                    </td>`)}
                            </tr>`)}
                    </tbody>
                </table>
            </div>`}
        </details>`;
}

// A line would fall with a period that is not over yet.
function columns({ times, series, running, byDay }) {
    const n = running && !byDay ? times.length - 1 : times.length;

    return [times, ...series.map((line) => line.values)].map(
        (column) => column.slice(0, n));
}

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
 * times: seconds, ascending; series: {label, colour, dash, values, right: it is
 * measured by an axis of its own}; label(time) names a time on the axis,
 * fullLabel(time) elsewhere; byDay: bars of days; running: the last period is
 * not over; span: how many seconds are seen, however many are known.
 */
export function Chart(props) {
    const [cursor, setCursor] = useState(null);
    const place = useDrawing(props, setCursor);
    const { title, times, series, running, fullLabel = props.label } = props;

    return html`
        <figure class=${`chart ${props.class ?? ''}`}>
            <figcaption>${title}</figcaption>
            <${Legend} series=${series} />
            <div class="plot" aria-hidden="true">
                <div class="drawing" ref=${place}></div>
                ${cursor && cursor.i < times.length && html`
                    <${Tip} cursor=${cursor} times=${times} series=${series}
                            label=${fullLabel} />`}
            </div>
            ${running && html`
                <${SoFar} time=${times[times.length - 1]} series=${series}
                          label=${props.label} />`}
            <${DataTable} title=${title} times=${times} series=${series}
                          label=${fullLabel} running=${running} />
        </figure>`;
}
