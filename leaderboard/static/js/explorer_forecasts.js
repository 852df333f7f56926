/* What predictors said of a run: numbers with intervals beside the truth, or curves. */
"use strict";

(function () {
  const runcast = window.runcast;
  const { h, number, shortened } = runcast.charts;
  const DRAWN = 5;
  const COLOURS = 6;
  const ROW = 22;

  /** Return the forecasts in the order of the board's ranking. */
  function ranked(board, rows) {
    const pool = (board.pools && board.pools.settings) || [];
    const place = new Map(pool.map((row, i) => [row.name, i]));
    const at = (row) => place.get(row.predictor) ?? pool.length;
    return [...rows].sort((a, b) => at(a) - at(b));
  }

  /** Return the columns of the outer and of the inner interval. */
  function intervals(levels) {
    const below = levels.filter(([level]) => level < 0.5);
    const pairs = below
      .map(([level, low]) => {
        const high = levels.find(([other]) => Math.abs(level + other - 1) < 1e-9);
        return high && { low, high: high[1], share: Math.round(100 * (1 - 2 * level)) };
      })
      .filter(Boolean);
    return { outer: pairs[0], inner: pairs.length > 1 ? pairs[pairs.length - 1] : undefined };
  }

  /** Return what a tooltip says of a forecast. */
  function told(row, outer) {
    const lines = [row.predictor, `says ${number(row.prediction, 4)}, truth ` +
      `${number(row.truth, 4)}, off by ${number(row.prediction - row.truth)}`];
    if (outer && row[outer.low] != null) {
      lines.push(`${outer.share} %: ${number(row[outer.low], 4)} to ${number(row[outer.high], 4)}`);
    }
    return lines.join("\n");
  }

  /** Return the plot of numbers. */
  function dots(Plot, rows, task, width) {
    const { outer, inner } = intervals(task.levels);
    const given = rows.filter((row) => row.prediction != null);
    const names = given.map((row) => row.predictor);
    const truth = rows[0].truth;
    const left = Math.min(width < 500 ? 116 : 210, 14 + 6.2 * Math.max(...names.map((n) => n.length)));
    const has = (pair) => given.filter((row) => pair && row[pair.low] != null);
    const bar = (pair, wide, strength, name) => pair && Plot.link(has(pair), {
      x1: pair.low, x2: pair.high, y1: "predictor", y2: "predictor", className: name,
      stroke: "var(--rc-accent)", strokeWidth: wide, strokeOpacity: strength,
    });
    const svg = runcast.charts.draw(Plot, {
      width, height: 58 + ROW * given.length, marginLeft: left, marginRight: 16, marginTop: 20,
      marginBottom: 38,
      ariaLabel: `Forecasts of ${task.name} beside the truth; the table below has the numbers`,
      x: { label: task.unit === "1" ? "Forecast" : `Forecast, ${task.unit}`, grid: true,
        nice: true, ticks: width < 500 ? 4 : 8, labelAnchor: "center", labelArrow: "none" },
      y: { type: "point", domain: names, label: null, padding: 0.6, tickSize: 0,
        tickFormat: (name) => shortened(name, Math.floor((left - 10) / 6)) },
      marks: [
        Plot.ruleX([truth], { stroke: "var(--rc-fg)", strokeWidth: 1.5, className: "rc-truth" }),
        bar(outer, 1.5, 0.7, "rc-outer"),
        bar(inner, 5, 0.35, "rc-inner"),
        Plot.dot(given, {
          x: "prediction", y: "predictor", r: 4, fill: "var(--rc-accent)", sort: null,
          stroke: "var(--rc-surface)", strokeWidth: 1, className: "rc-said",
        }),
        Plot.text([`truth ${number(truth, 4)}`], {
          x: () => truth, frameAnchor: "top", dy: -12, fontSize: 11, fill: "var(--rc-fg)",
        }),
      ],
    });
    const marks = [...svg.querySelectorAll(".rc-said > *")];
    const tip = runcast.charts.explained(svg, marks, given.map((row) => told(row, outer)));
    const says = [
      inner && `thick bar: ${inner.share} %`, outer && `thin bar: ${outer.share} %`,
      "line: the truth",
    ].filter(Boolean).join("; ");
    return [svg, tip, h("p", { class: "rc-note" }, `Dot: what was said; ${says}.`)];
  }

  /** Return the view of a task that asks for numbers. */
  function numbers(Plot, rows, task) {
    const { outer } = intervals(task.levels);
    const parts = [];
    if (rows.some((row) => row.prediction != null)) {
      parts.push(runcast.charts.responsive((width) => dots(Plot, rows, task, width)));
    }
    const cells = rows.map((row) => [
      h("bdi", {}, row.predictor), number(row.prediction, 4), number(row.truth, 4),
      row.prediction == null ? "-" : number(row.prediction - row.truth),
      outer && row[outer.low] != null
        ? `${number(row[outer.low], 4)} to ${number(row[outer.high], 4)}` : "-",
      row.prediction == null ? h("bdi", {}, row.reason || "no answer") : "",
    ]);
    const head = ["Entry", "Forecast", "Truth", "Error", outer ? `${outer.share} %` : "Interval",
      "Declined because"];
    const caption = `What was said of this run: ${task.name}`;
    parts.push(h("details", {}, h("summary", {}, "The numbers"),
      runcast.charts.table(caption, head, cells)));
    return parts;
  }

  /** Return the points of a list, an epoch each. */
  function curve(values, first) {
    return (values || []).map((y, i) => ({ x: first + i, y: y == null ? NaN : y }));
  }

  /** Return the plot of some predictors' curves over the true one. */
  function lines(Plot, rows, shown, truth, width) {
    const drawn = rows.filter((row) => shown.has(row.predictor));
    const curves = drawn.map((row) => curve(row.prediction, row.first_epoch));
    const values = [truth, ...curves].flat().map((p) => p.y).filter(Number.isFinite);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = 0.04 * (high - low || 1);
    const svg = runcast.charts.draw(Plot, {
      width, height: Math.round(Math.max(260, Math.min(420, width * 0.5))), marginLeft: 52,
      marginRight: 14, marginTop: 22, marginBottom: 38,
      ariaLabel: "Forecast curves over the true one",
      x: { label: "Epoch", domain: [truth[0].x, truth[truth.length - 1].x],
        labelAnchor: "center", labelArrow: "none", tickFormat: "d" },
      y: { label: "mean train_loss, nat", grid: true, labelArrow: "none", ticks: 6,
        domain: [low - room, high + room] },
      marks: [
        Plot.line(truth, { x: "x", y: "y", stroke: "var(--rc-fg)", strokeWidth: 3,
          className: "rc-truth" }),
        ...drawn.map((row, i) => Plot.line(curves[i], {
          x: "x", y: "y", className: "rc-said", stroke: `var(--rc-${1 + (row.colour % COLOURS)})`,
          strokeWidth: 1.75, strokeDasharray: row.colour >= COLOURS ? "5,3" : null,
        })),
      ],
    });
    const reading = (i) => [`epoch ${truth[i].x}: truth ${number(truth[i].y, 4)}`,
      ...drawn.map((row) => `${shortened(row.predictor, 24)} ${number(row.prediction[i], 4)}`)];
    const said = runcast.charts.cursor(svg, truth.map((p) => p.x), (i) => reading(i).join("; "));
    return [svg, said];
  }

  /** Return the view of a task that asks for curves. */
  function curves(Plot, rows, task) {
    const answered = (row) => (row.prediction || []).some((value) => value != null);
    const given = rows.filter(answered).map((row, colour) => ({ ...row, colour }));
    const first = given.length ? given[0].first_epoch : rows[0].first_epoch;
    const truth = curve(rows[0].truth, first ?? 1);
    const shown = new Set(given.slice(0, DRAWN).map((row) => row.predictor));
    const place = runcast.charts.responsive((width) => lines(Plot, given, shown, truth, width));
    const boxes = given.map((row) => {
      const box = h("input", { type: "checkbox", checked: shown.has(row.predictor),
        change: () => {
          shown[box.checked ? "add" : "delete"](row.predictor);
          place.redraw();
        } });
      const key = `rc-key rc-key-${1 + (row.colour % COLOURS)}`;
      return h("label", { class: "rc-tick" }, box,
        h("span", { class: key, "aria-hidden": "true" }), h("bdi", {}, row.predictor));
    });
    const error = (row) => {
      const off = row.prediction.map((value, i) => Math.abs(value - row.truth[i]));
      return off.reduce((sum, value) => sum + value, 0) / off.length;
    };
    const cells = rows.map((row) => {
      const said = answered(row);
      const last = (values) => number(values[values.length - 1], 4);
      return [h("bdi", {}, row.predictor), said ? last(row.prediction) : "-", last(row.truth),
        said ? number(error(row)) : "-", said ? "" : h("bdi", {}, row.reason || "no answer")];
    });
    const head = ["Entry", "Last epoch", "Truth", "Mean absolute error", "Declined because"];
    return [place,
      h("p", { class: "rc-note" }, "Thick line: the truth. Choose whose forecasts are drawn:"),
      h("fieldset", { class: "rc-choose" }, h("legend", {}, "Entries"), ...boxes),
      h("details", {}, h("summary", {}, "The numbers"),
        runcast.charts.table(`What was said of this run: ${task.name}`, head, cells))];
  }

  /** Return the nodes that show what was said of a run. */
  runcast.explorerForecasts = async function ({ board, data, row, task }) {
    const [Plot, found] = await Promise.all([
      runcast.charts.plotting(), data.forecasts(task, row.run_id),
    ]);
    if (!found.length) {
      const why = task.predictors.length ? `${task.name} does not ask about this run.`
        : `Nobody has answered ${task.name} yet.`;
      return [h("p", { class: "rc-message" }, why)];
    }
    const rows = ranked(board, found);
    return task.kind === "curve" ? curves(Plot, rows, task) : numbers(Plot, rows, task);
  };
})();
