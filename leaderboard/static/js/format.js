// Numbers, dates and addresses as text.
"use strict";

(() => {
  const NONE = "\u2013";
  const minus = (text) => text.replace(/^-/, "\u2212");

  /** Fixed decimals; none that say nothing where a score was rounded. */
  const fixed = (value, decimals = 3) =>
    value === null || value === undefined ? NONE : minus(value.toFixed(decimals));

  /** Three significant digits, without an exponent where it can be read without. */
  const number = (value) => {
    if (value === null || value === undefined) return NONE;
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e6)) return minus(value.toExponential(2));
    const decimals = size === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(size)));
    return minus(value.toFixed(Math.min(decimals, 6)));
  };

  const percent = (value, decimals = 0) =>
    value === null || value === undefined
      ? NONE
      : `${minus((100 * value).toFixed(decimals))}\u00a0%`;

  const range = (low, high, show) =>
    low === null || high === null ? "" : `${show(low)} to ${show(high)}`;

  const p = (value) => {
    if (value === null || value === undefined) return NONE;
    return value < 0.001 ? "< 0.001" : value.toFixed(3);
  };

  const count = (number, one, many = `${one}s`) =>
    `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

  const short = (text, limit = 80) =>
    text.length > limit ? `${[...text].slice(0, limit).join("")}\u2026` : text;

  const READS = {
    curve: "curve",
    noise: "noise",
    curvature: "curvature",
    settings: "hyper-parameters",
  };
  const POOLS = {
    curve: "Curve only",
    noise: "+ noise",
    curvature: "+ curvature",
    settings: "+ hyper-parameters",
  };
  const DIRECTIONS = {
    min: "lower is better",
    max: "higher is better",
    near: "nearer to the optimum is better",
  };

  const route = {
    board: (board) => `#/${board}`,
    task: (board, task) => `#/${board}/task/${task}`,
    // A lone surrogate cannot be written in an address.
    predictor: (board, name) =>
      `#/${board}/predictor/${encodeURIComponent(name.toWellFormed())}`,
  };

  runcast.format = {
    NONE, READS, POOLS, DIRECTIONS, fixed, number, percent, range, p, count, short, route,
  };
})();
