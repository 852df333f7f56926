// A score and its interval, drawn to a scale that a whole column shares.
"use strict";

(() => {
  const { h, svg } = runcast;
  const WIDTH = 100;
  const HEIGHT = 14;
  const STEP = 0.1;

  const clamp = (value) => Math.min(WIDTH - 2, Math.max(2, value));

  /** The scale of skills: 0 is always on it, and nothing below -1. */
  const skillScale = (triples) => {
    const kept = triples.filter((triple) => triple !== null);
    const lows = kept.map(([value, low]) => low ?? value);
    const highs = kept.map(([value, , high]) => high ?? value);
    const from = Math.max(-1, Math.floor(Math.min(0, ...lows) / STEP) * STEP);
    const to = Math.min(1, Math.ceil(Math.max(STEP, ...highs) / STEP) * STEP);
    return { from, to, zero: 0 };
  };

  /** The scale of a metric: wide enough for all but the worst fifth. */
  const valueScale = (triples, direction) => {
    const sign = direction === "max" ? -1 : 1;
    const sorted = triples
      .filter(([value]) => value !== null)
      .sort((one, other) => sign * (one[0] - other[0]));
    const kept = sorted.slice(0, Math.max(2, Math.ceil(0.8 * sorted.length)));
    const ends = kept.flatMap(([value, low, high]) => [value, low ?? value, high ?? value]);
    if (!ends.length) return { from: 0, to: 1, zero: null };
    const from = Math.min(...ends);
    const room = Math.max(...ends) - from || 1;
    return { from: from - 0.05 * room, to: from + 1.05 * room, zero: null };
  };

  /** The drawing; screen readers get the numbers beside it. */
  const bar = ([value, low, high], { from, to, zero }) => {
    const place = (number) => ((number - from) / (to - from)) * WIDTH;
    const middle = HEIGHT / 2;
    const parts = [];
    if (zero !== null) {
      const x = place(zero);
      const end = Math.min(WIDTH, Math.max(0, place(value)));
      const whole = { x: Math.min(x, end), width: Math.abs(end - x) };
      parts.push(svg("rect", { class: "whole", ...whole, y: 3, height: 8 }));
      parts.push(svg("line", { class: "zero", x1: x, x2: x, y1: 0, y2: HEIGHT }));
    }
    if (low !== null && high !== null) {
      const start = clamp(place(low));
      const width = Math.max(1, clamp(place(high)) - start);
      parts.push(svg("rect", { class: "range", x: start, y: 5, width, height: 4, rx: 2 }));
    }
    const x = place(value);
    if (x < 0 || x > WIDTH) {
      // Off the scale: an arrow head at the edge, instead of a point at a wrong place.
      const [tip, back] = x < 0 ? [0, 6] : [WIDTH, WIDTH - 6];
      const points = `${tip},${middle} ${back},2 ${back},${HEIGHT - 2}`;
      parts.push(svg("polygon", { class: "point", points }));
    } else {
      parts.push(svg("circle", { class: "point", cx: clamp(x), cy: middle, r: 2.6 }));
    }
    const box = { class: "bar", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" };
    return svg("svg", { ...box, focusable: "false" }, parts);
  };

  /** A cell: the drawing, the number, and the interval as text. */
  const measured = (triple, scale, show) => {
    if (triple === null || triple[0] === null) return [runcast.format.NONE];
    const range = runcast.format.range(triple[1], triple[2], show);
    const text = [h("strong", null, show(triple[0]))];
    if (range) text.push(" ", h("small", null, range));
    return [bar(triple, scale), h("span", { class: "figures" }, text)];
  };

  /** How a cell is tinted: -4 .. 4 about `centre`, in steps of `step`. */
  const tint = (value, centre = 0, step = 0.2) => {
    if (value === null) return "";
    const level = Math.round((value - centre) / step);
    const size = Math.min(4, Math.abs(level));
    if (size === 0) return "";
    return level > 0 ? `above-${size}` : `below-${size}`;
  };

  runcast.bars = { skillScale, valueScale, bar, measured, tint };
})();
