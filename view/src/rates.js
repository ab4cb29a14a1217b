// Rates between the last two answers.

import { useRef } from './html.js';
import { rates } from './statistics.js';

export const COUNTERS = ['Published', 'Delivered', 'Confirmed'];

// The last two values that were not the same.
export function useBefore(value) {
    const seen = useRef({ before: null, now: null });

    if (value && value !== seen.current.now) {
        seen.current = { before: seen.current.now, now: value };
    }

    return seen.current.before;
}

export function useRates(answer) {
    return rates(useBefore(answer), answer, COUNTERS);
}
