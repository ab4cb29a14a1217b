import 'uplot/dist/uPlot.min.css';
import './style/base.css';
import './style/layout.css';
import './style/parts.css';
import './style/pages.css';

import { html, render } from './html.js';
import { App } from './app.js';

render(html`<${App} />`, document.body);
