// Colors of the map. Lightness in OKLab rises or falls evenly with the weight, so that equal steps look equal;
// nothing is the page itself: paper in a light page, night in a dark one.

// [lightness, chroma, hue in degrees] from weight 0 to the largest
const LIGHT_MAP = [
  [0.99, 0.004, 130], [0.83, 0.075, 165], [0.67, 0.1, 195], [0.51, 0.115, 245], [0.35, 0.13, 280], [0.19, 0.09, 295],
];
const DARK_MAP = [
  [0.2, 0.012, 210], [0.35, 0.11, 285], [0.5, 0.115, 245], [0.65, 0.105, 195], [0.8, 0.13, 155], [0.95, 0.15, 112],
];

/** 256 packed colors, little-endian RGBA. */
function colorMap(dark) {
  const stops = dark ? DARK_MAP : LIGHT_MAP;
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const position = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(position), stops.length - 2);
    const mixed = stops[low].map((value, k) => value + (stops[low + 1][k] - value) * (position - low));
    const [r, g, b] = oklch(...mixed);
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

/** OKLCH (Ottosson 2020) to sRGB bytes, clipped to what a screen can show. */
function oklch(lightness, chroma, degrees) {
  const a = chroma * Math.cos((degrees * Math.PI) / 180);
  const b = chroma * Math.sin((degrees * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((value) => {
    const clipped = Math.min(1, Math.max(0, value));
    return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
  });
}

/** Values as an image of one pixel a cell, colored by their share of `largest`. */
function paint(canvas, values, columns, rows, largest, colors) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const factor = largest > 0 ? 255 / largest : 0;
  for (let i = 0; i < pixels.length; i++) pixels[i] = colors[Math.min(255, (values[i] * factor + 0.5) | 0)];
  context.putImageData(image, 0, 0);
  return canvas;
}
