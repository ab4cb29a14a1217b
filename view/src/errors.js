// What the system says of files, in the page's language.

import { has, t } from './i18n/index.js';

// disk: of GetOverview
export function errorName({ Error: text, ErrorCode: code }) {
    return has(`errno.${code}`) ? t(`errno.${code}`) : text;
}
