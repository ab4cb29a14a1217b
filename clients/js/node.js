// Node's own WebSocket, where there is one, does not tell of pings.

import WebSocket from 'ws';
import { defaults } from './kapokmq.js';

defaults.WebSocket = WebSocket;
export * from './kapokmq.js';
