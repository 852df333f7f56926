/* The cost plot: what skill the readings of a run buy, and whom nobody undercuts. */
"use strict";

(function () {
  const runcast = window.runcast;
  const { h, s, number, interval, shortened } = runcast.charts;
  /* What is read, by pool: meaning, symbol of the plot, character of the legend. */
  const READS = {
    nothing: ["nothing of the run", "times", "\u2715"],
    curve: ["curves", "circle", "\u25cf"],
    noise: ["curves and noise", "triangle", "\u25b2"],
    curvature: ["curves, noise and curvature", "square", "\u25a0"],
    settings: ["hyper-parameters too", "diamond", "\u25c6"],
  };
  const LETTER = 6.1;
  const LINE = 13;
  const DODGE = 11;

  /** Return the points of a board, cheapest first. */
  function points(board) {
    const entries = new Map(board.entries.map((entry) => [entry.name, entry]));
    return board.cost
      .filter((row) => row.skill && row.skill[0] != null)
      .map((row) => {
        const entry = entries.get(row.name) || { reads: [], pool: "settings" };
        const reads = entry.reads && entry.reads.length ? entry.pool : "nothing";
        const [skill, low, high] = row.skill;
        const front = Boolean(row.front);
        return { name: row.name, cost: row.cost_passes, skill, low, high, front, reads };
      })
      .sort((a, b) => a.cost - b.cost || b.skill - a.skill);
  }

  /** Return where 0 stands on the logarithmic axis, and the ticks. */
  function axis(shown) {
    const positive = shown.map((point) => point.cost).filter((cost) => cost > 0);
    const low = Math.floor(Math.log10(Math.min(...positive, 1)));
    const high = Math.ceil(Math.log10(Math.max(...positive, 1)));
    const ticks = [];
    const steps = high - low < 3 ? [1, 2, 5] : [1];
    for (let power = low; power <= high; power++) {
      ticks.push(...steps.map((step) => step * 10 ** power));
    }
    const some = shown.some((point) => point.cost === 0);
    const zero = some ? 10 ** (low - 0.7) : null;
    const end = Math.max(...positive, 1) * 1.6;
    return { zero, ticks: ticks.filter((t) => t <= end), end, first: 10 ** low };
  }

  /** Move points of equal price side by side, so that their intervals can be read. */
  function dodged(data, start, end, width) {
    const decades = Math.log10(end / start) / width;
    const groups = new Map();
    for (const point of data) groups.set(point.x, [...(groups.get(point.x) || []), point]);
    for (const group of groups.values()) {
      const step = Math.min(DODGE, (width / 9) / group.length);
      group.forEach((point, i) => {
        point.x *= 10 ** ((i - (group.length - 1) / 2) * step * decades);
      });
    }
    return data;
  }

  /** Return what a tooltip and a screen reader say of a point. */
  function told(point) {
    return [
      point.name,
      `skill ${interval([point.skill, point.low, point.high])}`,
      `${number(point.cost)} of a run's training passes`,
      `reads ${READS[point.reads][0]}${point.front ? "; nobody cheaper is better" : ""}`,
    ].join("\n");
  }

  /** Write names beside the points, the front first, wherever they meet nothing. */
  function label(svg, placed, width) {
    const taken = placed.map(({ px, py }) => [px - 6, py - 6, px + 6, py + 6]);
    const front = placed.filter((point) => point.front);
    front.forEach(({ px, py }, i) => {
      const next = front[i + 1] || { px: width, py };
      taken.push([px + 7, py - 1, next.px, py + 1]);
      taken.push([next.px - 1, Math.min(py, next.py), next.px + 1, Math.max(py, next.py)]);
    });
    const free = (box) =>
      box[0] > 44 && box[2] < width - 2 && box[1] > 0 &&
      taken.every((b) => b[0] > box[2] || b[2] < box[0] || b[1] > box[3] || b[3] < box[1]);
    const order = [...placed].sort((a, b) => b.front - a.front || b.skill - a.skill);
    for (const point of order) {
      const text = shortened(point.name, 22);
      const wide = [...text].length * LETTER * (point.front ? 1.15 : 1);
      const { px, py } = point;
      const spots = [
        ["start", px + 9, py + 4], ["end", px - 9, py + 4],
        ["start", px + 7, py - 8], ["end", px - 7, py - 8],
        ["start", px + 7, py + 16], ["end", px - 7, py + 16],
        ["middle", px, py - 11], ["middle", px, py + 20],
      ];
      for (const [anchor, x, y] of spots) {
        const left = { start: x, end: x - wide, middle: x - wide / 2 }[anchor];
        const box = [left, y - LINE + 3, left + wide, y + 3];
        if (!free(box)) continue;
        taken.push(box);
        const kind = point.front ? "rc-name rc-front" : "rc-name";
        svg.append(s("text", { class: kind, x, y, "text-anchor": anchor }, text));
        break;
      }
    }
  }

  /** Return the plot of some points at a width. */
  function plot(Plot, shown, width) {
    const { zero, ticks, end, first } = axis(shown);
    const start = zero === null ? first / 1.3 : zero / 1.8;
    const apart = shown.map((point) => ({ ...point, x: point.cost > 0 ? point.cost : zero }));
    const data = dodged(apart, start, end, width - 56);
    const front = data.filter((point) => point.front);
    if (front.length) front.push({ ...front[front.length - 1], x: end });
    const height = Math.round(Math.max(320, Math.min(520, width * 0.55)));
    const svg = runcast.charts.draw(Plot, {
      width, height, marginLeft: 44, marginRight: 12, marginBottom: 44, marginTop: 26,
      ariaLabel: "Skill against price; the table below has the same numbers",
      x: {
        type: "log", domain: [start, end], label: "Price, share of a run's training passes",
        ticks: zero === null ? ticks : [zero, ...ticks],
        tickFormat: (value) => (value === zero ? "0" : String(Number(value.toPrecision(3)))),
        labelAnchor: "center", labelArrow: "none",
      },
      y: { label: "Skill", grid: true, nice: true, ticks: 8, labelArrow: "up" },
      symbol: { domain: Object.keys(READS), range: Object.values(READS).map((r) => r[1]) },
      marks: [
        Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.5 }),
        zero === null ? null : Plot.ruleX([Math.sqrt(zero * first)], {
          stroke: "var(--rc-muted)", strokeDasharray: "2,4",
        }),
        Plot.line(front, {
          x: "x", y: "skill", curve: "step-after", className: "rc-step",
          stroke: "var(--rc-accent)", strokeWidth: 2,
        }),
        Plot.ruleX(data.filter((point) => point.low != null && point.high != null), {
          x: "x", y1: "low", y2: "high", className: "rc-bars", stroke: "var(--rc-muted)",
          strokeWidth: 1.5, strokeOpacity: 0.65,
        }),
        Plot.dot(data, {
          x: "x", y: "skill", symbol: "reads", r: 5, className: "rc-dots", strokeWidth: 2,
          stroke: (point) => (point.front ? "var(--rc-accent)" : "var(--rc-fg)"),
          fill: (point) => (point.front ? "var(--rc-accent)" : "var(--rc-surface)"),
          sort: null,
        }),
      ],
    });
    const [x, y] = [svg.scale("x"), svg.scale("y")];
    const placed = data.map((p) => ({ ...p, px: x.apply(p.x), py: y.apply(p.skill) }));
    label(svg, placed, width);
    const marks = [...svg.querySelectorAll(".rc-dots > *")];
    const shownMarks = marks.length === data.length ? marks : [];
    const tip = runcast.charts.explained(svg, shownMarks, data.map(told));
    return [svg, tip];
  }

  /** Return the legend: shapes, bars, line. */
  function legend(shown) {
    const used = new Set(shown.map((point) => point.reads));
    const items = Object.entries(READS).filter(([name]) => used.has(name));
    return h(
      "ul",
      { class: "rc-legend", "aria-label": "What the marks mean" },
      ...items.map(([, [says, , mark]]) =>
        h("li", {}, h("span", { class: "rc-mark", "aria-hidden": "true" }, mark), says)),
      h("li", {}, h("span", { class: "rc-key rc-key-front", "aria-hidden": "true" }),
        "Pareto front: nobody cheaper is better"),
      h("li", {}, h("span", { class: "rc-key rc-key-bar", "aria-hidden": "true" }),
        "95 % interval"),
    );
  }

  /** Return the view of a board's cost against skill. */
  runcast.views.cost = async function (board) {
    const all = points(board);
    const shown = all.filter((point) => point.cost != null);
    const view = h("section", { class: "rc-view", "aria-labelledby": "rc-cost-title" },
      h("h1", { id: "rc-cost-title", tabindex: "-1" }, "Skill against price"),
      h("p", { class: "rc-note" },
        "Price is what a prediction must read of a run, all its probes included, as a " +
        "share of the passes that training the whole run takes. Up and to the left is " +
        "better; entries of equal price stand side by side."));
    if (!shown.length) {
      view.append(h("p", { class: "rc-message" }, "No entry of this board has a price yet."));
    } else {
      const Plot = await runcast.charts.plotting();
      view.append(runcast.charts.responsive((width) => plot(Plot, shown, width)));
      view.append(legend(shown));
    }
    const rows = all.map((point) => [
      h("bdi", {}, point.name), READS[point.reads][0], number(point.cost),
      interval([point.skill, point.low, point.high]), point.front ? "yes" : "",
    ]);
    const head = ["Entry", "Reads", "Price", "Skill [95 % interval]", "On the front"];
    view.append(runcast.charts.table("Skill and price of every entry", head, rows));
    return view;
  };
})();
