/* What every chart needs: elements, the plotting library when it is first wanted, charts
   that follow the width of the page, and points and cursors that keys can move. */
"use strict";

(function () {
  const runcast = (window.runcast = window.runcast || {});
  runcast.views = runcast.views || {};
  const SVG = "http://www.w3.org/2000/svg";
  const scripts = new Map();

  /** Return an element; functions become listeners, strings become text nodes. */
  function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  }

  /** Load a classic script once; a failed one may be tried again. */
  function script(source) {
    if (!scripts.has(source)) {
      const loaded = new Promise((resolve, reject) => {
        const element = h("script", { src: source });
        element.onload = () => resolve();
        element.onerror = () => {
          scripts.delete(source);
          element.remove();
          reject(new Error(`${source} could not be loaded: is the site complete?`));
        };
        document.head.append(element);
      });
      scripts.set(source, loaded);
    }
    return scripts.get(source);
  }

  /** Return Observable Plot. */
  async function plotting() {
    await script("vendor/plot.js");
    return window.RuncastPlot;
  }

  /** Return a plot's SVG. Its style element breaks the page's policy: the same rules are
      in explorer.css. */
  function draw(Plot, options) {
    const svg = Plot.plot({ className: "rc-plot", ...options });
    for (const style of svg.querySelectorAll("style")) style.remove();
    return svg;
  }

  /** Return a place that holds render(width) and renders again when its width changes. */
  function responsive(render, attributes = {}) {
    const place = h("div", { class: "rc-chart", ...attributes });
    let drawn = 0;
    place.redraw = () => {
      drawn = Math.floor(place.clientWidth);
      if (drawn > 0) place.replaceChildren(...[render(drawn)].flat());
    };
    new ResizeObserver(() => {
      if (Math.abs(place.clientWidth - drawn) >= 1) place.redraw();
    }).observe(place);
    return place;
  }

  /** Return a number as text with some significant digits; "-" where there is none. */
  function number(value, digits = 3) {
    if (value == null || !Number.isFinite(value)) return "-";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 1);
    if (Number.isInteger(value)) return String(value).replace("-", "\u2212");
    const whole = size >= 1 ? Math.floor(Math.log10(size)) + 1 : 0;
    return value.toFixed(Math.max(0, digits - whole)).replace("-", "\u2212");
  }

  /** Return "a [b, c]", or "a" where there is no interval. */
  function interval([value, low, high], digits = 3) {
    if (low == null || high == null) return number(value, digits);
    return `${number(value, digits)} [${number(low, digits)}, ${number(high, digits)}]`;
  }

  /** Return a text cut to so many characters. */
  function shortened(text, most) {
    const letters = [...text];
    return letters.length > most ? letters.slice(0, most - 1).join("") + "\u2026" : text;
  }

  /** Return an SVG element. */
  function s(tag, attributes = {}, text = null) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, value);
    }
    if (text !== null) element.textContent = text;
    return element;
  }

  /** Show texts beside marks on hover and focus: one tab stop, arrow keys move on. */
  function explained(svg, marks, texts) {
    const tip = h("div", { class: "rc-tip", role: "status", hidden: true });
    const show = (mark, text) => {
      const box = mark.getBoundingClientRect();
      const frame = tip.parentElement.getBoundingClientRect();
      tip.replaceChildren(...text.split("\n").map((line) => h("div", {}, line)));
      tip.hidden = false;
      const left = box.left + box.width / 2 - frame.left;
      const most = frame.width - tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(most, left - tip.offsetWidth / 2))}px`;
      const above = box.top - frame.top - tip.offsetHeight - 8;
      tip.style.top = `${above >= 0 ? above : box.bottom - frame.top + 8}px`;
    };
    const hide = () => (tip.hidden = true);
    marks.forEach((mark, i) => {
      mark.setAttribute("tabindex", i === 0 ? "0" : "-1");
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", texts[i].replaceAll("\n", ", "));
      mark.addEventListener("pointerenter", () => show(mark, texts[i]));
      mark.addEventListener("pointerleave", hide);
      mark.addEventListener("focus", () => show(mark, texts[i]));
      mark.addEventListener("blur", hide);
      mark.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape") hide();
        if (!step) return;
        event.preventDefault();
        const next = marks[(i + step + marks.length) % marks.length];
        mark.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      });
    });
    return tip;
  }

  /** Return a line of text about the place under a cursor that pointer and arrow keys move
      along x; `describe(i)` tells about the i-th of the ascending places. */
  function cursor(svg, places, describe) {
    const told = h("output", { class: "rc-told" }, "Point at the curve, or use arrow keys.");
    if (!places.length) return told;
    const x = svg.scale("x");
    const [top, bottom] = svg.scale("y").range.slice().sort((a, b) => a - b);
    const rule = s("line", { class: "rc-cursor", y1: top, y2: bottom, visibility: "hidden" });
    svg.append(rule);
    let at = places.length - 1;
    const move = (i) => {
      at = Math.max(0, Math.min(places.length - 1, i));
      rule.setAttribute("x1", x.apply(places[at]));
      rule.setAttribute("x2", x.apply(places[at]));
      rule.setAttribute("visibility", "visible");
      told.textContent = describe(at);
    };
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      move(nearest(places, x.invert((event.clientX - box.left) * scale)));
    });
    svg.addEventListener("keydown", (event) => {
      const many = Math.max(1, Math.round(places.length / 20));
      const to = {
        ArrowLeft: at - 1,
        ArrowRight: at + 1,
        PageUp: at - many,
        PageDown: at + many,
        Home: 0,
        End: places.length - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      move(to);
    });
    return told;
  }

  /** Return the index of the nearest of ascending numbers. */
  function nearest(sorted, value) {
    let low = 0;
    let high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low > 0 && value - sorted[low - 1] < sorted[low] - value ? low - 1 : low;
  }

  /** Return points {x, y}, at most about `most`: the lowest and highest of each stretch. */
  function thinned(points, most = 3000) {
    const size = Math.ceil((2 * points.length) / most);
    if (size <= 2) return points;
    const kept = [];
    for (let start = 0; start < points.length; start += size) {
      const stretch = points.slice(start, start + size);
      const gap = stretch.find((point) => !Number.isFinite(point.y));
      const finite = stretch.filter((point) => Number.isFinite(point.y));
      const ends = finite.reduce(
        ([low, high], p) => [p.y < low.y ? p : low, p.y > high.y ? p : high],
        [finite[0], finite[0]],
      );
      const some = new Set(finite.length ? ends : []);
      if (gap) some.add(gap);
      kept.push(...[...some].sort((a, b) => a.x - b.x));
    }
    return kept;
  }

  /** Return a table; a cell is a text or a node, the first of a row its header. */
  function table(caption, head, rows) {
    const cell = (content, i) =>
      i ? h("td", {}, content) : h("th", { scope: "row" }, content);
    return h(
      "div",
      { class: "rc-scroll", tabindex: "0", role: "region", "aria-label": caption },
      h(
        "table",
        { class: "rc-table" },
        h("caption", {}, caption),
        h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell)))),
      ),
    );
  }

  runcast.charts = {
    h, s, script, plotting, draw, responsive, number, interval, shortened, explained,
    cursor, nearest, thinned, table,
  };
})();
