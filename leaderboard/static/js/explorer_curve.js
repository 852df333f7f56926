/* The plot of a signal: the run, its replicates, the early window, laws and the knee. */
"use strict";

(function () {
  const runcast = window.runcast;
  const { number, thinned } = runcast.charts;
  const LAW_POINTS = 200;

  /** Return a curve's points {x: epochs, y, step} that the axes can show. */
  function points({ steps, values }, size, logX, logY) {
    return steps
      .map((step, i) => ({ step, x: step / size, y: values[i] }))
      .filter((point) => !logX || point.x > 0)
      .map((point) =>
        Number.isFinite(point.y) && (!logY || point.y > 0) ? point : { ...point, y: NaN });
  }

  /** Return the epoch means of a per-step curve, at the mean times of their steps. */
  function means({ steps, values }, size) {
    const found = [];
    for (let start = 0; start + size <= values.length; start += size) {
      const some = values.slice(start, start + size);
      const y = some.reduce((sum, value) => sum + value, 0) / size;
      const [first, last] = [steps[start], steps[start + size - 1]];
      found.push({ step: last, x: (first + last) / 2 / size, y });
    }
    return found;
  }

  /** Return the points of a law from where it was fitted to the end of the run. */
  function lawPoints(law, size, end, logX) {
    const first = Math.max(law.first_step / size, 1e-9);
    return Array.from({ length: LAW_POINTS + 1 }, (_, i) => {
      const share = i / LAW_POINTS;
      const x = logX ? first * (end / first) ** share : first + (end - first) * share;
      return { x, y: law.offset + law.prefactor * x ** -law.exponent };
    });
  }

  /** Return the extent of the y axis: the data, and laws as far as the data's height. */
  function extent(curves, logY) {
    const values = curves.flat().map((point) => point.y).filter(Number.isFinite);
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (!(low <= high)) return logY ? [0.1, 1] : [0, 1];
    const room = logY ? 0 : 0.04 * (high - low || Math.abs(high) || 1);
    return logY ? [low / 1.1, high * 1.1] : [low - room, high + room];
  }

  /**
   * Return [svg, reading] of a run's signal.
   *
   * row, curves: the run, and Map(run -> {steps, values}); signal: {name, unit, meaning};
   * until: share of the steps in the early window; laws: rows that are drawn.
   */
  runcast.explorerCurve = function (Plot, asked) {
    const { row, curves, signal, until, width, logX, logY, laws } = asked;
    const size = row.steps_per_epoch;
    const own = points(curves.get(row.run_id), size, logX, logY);
    const everyStep = own.length > 4 && signal.name === "train_loss";
    const shape = (curve) =>
      everyStep ? means(curve, size) : points(curve, size, logX, logY);
    const faint = [...curves.keys()].filter((run) => run !== row.run_id)
      .map((run) => shape(curves.get(run)));
    const bold = everyStep ? means(curves.get(row.run_id), size) : own;
    const end = row.num_steps / size;
    const edge = until * end;
    const start = logX ? own[0].x : 0;
    const domain = extent([own, ...faint], logY);
    const marks = [
      Plot.rect([{ x1: start, x2: edge, y1: domain[0], y2: domain[1] }], {
        x1: "x1", x2: "x2", y1: "y1", y2: "y2", className: "rc-window",
        fill: "var(--rc-accent)", fillOpacity: 0.09,
      }),
      Plot.ruleX([edge], { stroke: "var(--rc-accent)", strokeOpacity: 0.6, className: "rc-edge" }),
      ...faint.map((curve) => Plot.line(thinned(curve), {
        x: "x", y: "y", className: "rc-twin", stroke: "var(--rc-muted)", strokeOpacity: 0.6,
        strokeWidth: 1.25,
      })),
      Plot.line(thinned(own), {
        x: "x", y: "y", className: "rc-own", stroke: "var(--rc-fg)",
        strokeOpacity: everyStep ? 0.3 : 1, strokeWidth: everyStep ? 1 : 1.75,
      }),
      everyStep ? Plot.line(bold, {
        x: "x", y: "y", className: "rc-means", stroke: "var(--rc-fg)", strokeWidth: 2,
      }) : null,
      !everyStep && own.length <= 60 ? Plot.dot(own, {
        x: "x", y: "y", r: 2.5, fill: "var(--rc-fg)", className: "rc-measured",
      }) : null,
    ];
    for (const law of laws) {
      if (law.law === "knee" && law.knee_step != null) {
        marks.push(
          Plot.ruleX([law.knee_step / size], {
            stroke: "var(--rc-6)", strokeWidth: 1.5, strokeDasharray: "2,3", className: "rc-knee",
          }),
          Plot.text(["knee"], {
            x: () => law.knee_step / size, frameAnchor: "bottom", dy: -6, dx: 5,
            textAnchor: "start", fill: "var(--rc-6)", fontSize: 11,
          }),
        );
      }
      if (law.law === "knee" || law.status !== "ok") continue;
      const line = lawPoints(law, size, end, logX).filter((point) => !logY || point.y > 0);
      const fitted = law.last_step / size;
      const look = { x: "x", y: "y", stroke: `var(--rc-law-${law.law})`, clip: true };
      marks.push(
        Plot.line(line.filter((point) => point.x <= fitted), {
          ...look, strokeWidth: 3, className: `rc-law rc-drawn-${law.law}`,
        }),
        Plot.line(line.filter((point) => point.x >= fitted), {
          ...look, strokeWidth: 2, strokeDasharray: "6,4", className: "rc-law rc-continued",
        }),
      );
    }
    marks.push(Plot.text([`first ${number(100 * until, 3)} %`], {
      x: () => start, frameAnchor: "top", textAnchor: "start", dx: 5, dy: 6, fontSize: 11,
      fill: "var(--rc-accent)",
    }));
    const svg = runcast.charts.draw(Plot, {
      width, height: Math.round(Math.max(280, Math.min(440, width * 0.5))),
      marginLeft: 52, marginRight: 14, marginTop: 24, marginBottom: 38,
      ariaLabel: `${signal.name} of run ${row.run_id} over epochs, the first ` +
        `${number(100 * until, 3)} % shaded`,
      x: {
        type: logX ? "log" : "linear", domain: [start, end], label: "Epochs",
        labelAnchor: "center", labelArrow: "none", tickFormat: logX ? "~g" : undefined,
        ticks: width < 500 ? 5 : 10,
      },
      y: {
        type: logY ? "log" : "linear", domain, grid: true, labelArrow: "none",
        label: signal.unit === "1" ? signal.name : `${signal.name}, ${signal.unit}`,
        tickFormat: logY ? "~g" : undefined, ticks: 6,
      },
      marks,
    });
    const read = bold.filter((point) => Number.isFinite(point.y) && point.x >= start);
    const what = everyStep ? `epoch mean of ${signal.name}` : signal.name;
    const told = runcast.charts.cursor(svg, read.map((point) => point.x), (i) =>
      `${number(read[i].x)} epochs (step ${read[i].step}): ${what} ${number(read[i].y, 4)}`);
    return [svg, told];
  };
})();
