/*
 * Pictures of a screen have few colours: a PNG with a palette is half as
 * large.  Colours that do not fit into it become the nearest of those.
 */
"use strict";

const zlib = require("node:zlib");

const SIGNATURE = Buffer.from("89504e470d0a1a0a", "hex");
const HEADER = 8 + 25;

function chunk(type, data) {
    const length = Buffer.alloc(4);
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const sum = Buffer.alloc(4);

    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc(body));
    return Buffer.concat([length, body, sum]);
}

function crc(bytes) {
    let c = 0xffffffff;

    for (const byte of bytes) {
        c ^= byte;

        for (let n = 0; n < 8; n++) {
            c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
        }
    }

    return ~c >>> 0;
}

function paeth(a, b, c) {
    const [pa, pb, pc] = [b - c, a - c, a + b - 2 * c].map(Math.abs);

    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

const FILTERS = [
    () => 0,
    (left) => left,
    (left, above) => above,
    (left, above) => (left + above) >> 1,
    paeth,
];

/* {width, height, pixels}: each a number, 0xrrggbb. */
function decode(png) {
    const width = png.readUInt32BE(16);
    const height = png.readUInt32BE(20);
    const size = png[25] === 6 ? 4 : 3;
    const data = [];

    for (let at = HEADER; at < png.length;) {
        const length = png.readUInt32BE(at);

        if (png.toString("latin1", at + 4, at + 8) === "IDAT") {
            data.push(png.subarray(at + 8, at + 8 + length));
        }

        at += 12 + length;
    }

    const raw = zlib.inflateSync(Buffer.concat(data));
    const row = width * size;
    const bytes = Buffer.alloc(row * height);
    const at = (x, y) => (x < 0 || y < 0 ? 0 : bytes[y * row + x]);

    for (let y = 0; y < height; y++) {
        const filter = FILTERS[raw[y * (row + 1)]];

        for (let x = 0; x < row; x++) {
            const corner = x < size ? 0 : at(x - size, y - 1);

            bytes[y * row + x] = raw[y * (row + 1) + 1 + x]
                + filter(at(x - size, y), at(x, y - 1), corner);
        }
    }

    const pixels = Array.from({ length: width * height },
        (_, n) => bytes.readUIntBE(n * size, 3));

    return { width, height, pixels };
}

function distance(a, b) {
    return [16, 8, 0].reduce((sum, bits) =>
        sum + ((a >> bits & 255) - (b >> bits & 255)) ** 2, 0);
}

function nearest(colour, palette) {
    return palette.reduce((best, one, n) =>
        (distance(colour, one) < distance(colour, palette[best]) ? n : best),
        0);
}

function withPalette(png) {
    const { width, height, pixels } = decode(png);
    const count = new Map();

    pixels.forEach((one) => count.set(one, (count.get(one) ?? 0) + 1));

    const colours = [...count.keys()].sort((a, b) =>
        count.get(b) - count.get(a));
    const palette = colours.slice(0, 256);
    const index = new Map(colours.map((colour, n) =>
        [colour, n < 256 ? n : nearest(colour, palette)]));
    const rows = Buffer.alloc((width + 1) * height);

    pixels.forEach((colour, n) => {
        const y = Math.floor(n / width);

        rows[n + y + 1] = index.get(colour);
    });

    const header = Buffer.from(png.subarray(16, 29));

    header[9] = 3;                 /* colours from a palette */
    return Buffer.concat([SIGNATURE, chunk("IHDR", header),
        chunk("PLTE", Buffer.concat(palette.map((colour) =>
            Buffer.from([colour >> 16, colour >> 8 & 255, colour & 255])))),
        chunk("IDAT", zlib.deflateSync(rows, { level: 9 })),
        chunk("IEND", Buffer.alloc(0))]);
}

module.exports = { withPalette };
