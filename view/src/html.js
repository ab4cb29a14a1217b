// What components are made of.

import { h } from 'preact';
import htm from 'htm';

export { render } from 'preact';
export { useEffect, useMemo, useRef, useState } from 'preact/hooks';

export const html = htm.bind(h);
