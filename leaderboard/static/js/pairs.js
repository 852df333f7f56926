// Everybody against everybody: how often, or by how much, a row beats a column.
"use strict";

(() => {
  const { h, format, bars, parts, controls } = runcast;
  const MANY = 25;
  const MEASURES = {
    win: {
      label: "Win probability", centre: 0.5, step: 0.11, text: "wins against",
      show: (value) => format.percent(value), bare: (value) => (100 * value).toFixed(0),
    },
    skill: {
      label: "Skill against the column", centre: 0, step: 0.15, text: "has skill against",
      show: (value) => format.fixed(value, 2), bare: (value) => format.fixed(value, 2),
    },
  };

  const cell = (pairs, measure, key, row, column) => {
    if (row === column) return h("td", { class: "self" }, runcast.spoken("itself"));
    const value = pairs[key][row][column];
    if (value === null) return h("td", { class: "self" }, format.NONE);
    const low = pairs[`${key}_low`][row][column];
    const high = pairs[`${key}_high`][row][column];
    const range = format.range(low, high, measure.bare);
    const names = [row, column].map((place) => format.short(pairs.names[place], 40));
    const title = `${names[0]} ${measure.text} ${names[1]}: ${measure.show(value)}` +
      (range ? ` (${range})` : "");
    const classes = `pair ${bars.tint(value, measure.centre, measure.step)}`;
    return h("td", { class: classes, title },
      h("span", { class: "value" }, measure.bare(value)),
      range ? h("small", null, range.replace(" to ", "\u2013")) : null);
  };

  const matrix = (board, pairs, key, limit) => {
    const measure = MEASURES[key];
    const places = pairs.names.map((_, place) => place).slice(0, limit);
    const heads = places.map((place) =>
      h("th", { scope: "col" }, parts.predictor(board, pairs.names[place])));
    const lines = places.map((row) =>
      h("tr", null,
        h("th", { scope: "row", class: "who" }, parts.predictor(board, pairs.names[row])),
        places.map((column) => cell(pairs, measure, key, row, column))));
    const caption = `${measure.label}: row against column`;
    return h("div",
      { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
      h("table", { class: "matrix" },
        h("caption", { class: "spoken" }, caption),
        h("thead", null, h("tr", null, h("td", { class: "corner" }, "row beats column"), heads)),
        h("tbody", null, lines)));
  };

  runcast.views.pairs = async (board, { query, update }) => {
    const pairs = await runcast.loadPairs(board.name);
    const many = pairs.names.length > MANY;
    const state = {
      measure: runcast.own(MEASURES, query.get("measure") ?? "") ? query.get("measure") : "win",
      all: !many || query.get("show") === "all",
    };
    const holder = h("div");
    const draw = () => {
      const limit = state.all ? pairs.names.length : MANY;
      holder.replaceChildren(matrix(board, pairs, state.measure, limit));
      runcast.tell(`${MEASURES[state.measure].label}, ${Math.min(limit, pairs.names.length)} predictors.`);
    };
    const measures = controls.radios({
      legend: "Shown", name: "measure", value: state.measure,
      options: Object.entries(MEASURES).map(([key, { label }]) => [key, label]),
      chosen: (measure) => {
        state.measure = measure;
        update({ measure: measure === "win" ? null : measure });
        draw();
      },
    });
    const all = many && controls.ticks({
      legend: "Predictors", name: "show", options: [["all", `All ${pairs.names.length}`]],
      values: state.all ? ["all"] : [],
      ticked: ([show = null]) => {
        state.all = show !== null;
        update({ show });
        draw();
      },
    });
    draw();
    return h("div", null,
      h("h1", { tabindex: "-1" }, `Pairs of ${board.name}`),
      parts.note("Each cell tells how the row does against the column over all tasks, in ",
        "per cent or as skill; below it the 95 % interval over resampled families. Above a half ",
        "(or above 0) the row is ahead."),
      h("form", { class: "filters", "aria-label": "What the table shows" }, measures, all || null),
      holder);
  };
})();
