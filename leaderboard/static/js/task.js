// One task: the question, the scores, and where they come from.
"use strict";

(() => {
  const { h, format, bars, parts } = runcast;
  const LEVEL = 0.05;

  const facts = (board, task) =>
    parts.facts([
      ["Shown", task.window === null ? null : `the first ${format.percent(task.window)} of a run`],
      ["Answer", `${task.kind}, in ${task.unit}`],
      ["Scored by", `${task.metric}: ${format.DIRECTIONS[task.direction]}`],
      ["Reference (skill 0)", task.reference],
      ["Ceiling", task.ceiling === null ? "not known" : format.number(task.ceiling)],
      ["Examples", task.n.toLocaleString("en") + (task.families === null ? ""
        : ` in ${format.count(task.families, "family", "families")}`)],
      ["Version", task.version],
      ["Corpus", `${board.corpus.name} ${board.corpus.version}`],
    ]);

  const missing = (row) =>
    h("span", { class: "missing" }, row.status === "declined" ? "declined" : "undefined",
      row.reason ? [": ", runcast.foreign(row.reason)] : null);

  const plain = (key, label, first, read, show) => ({
    key, label, first, className: "number",
    cell: (row) => show(read(row)), sort: (row) => read(row) ?? null,
  });

  const scoreColumns = (data, task) => {
    const triple = (row) => [row.value, row.low, row.high];
    const values = bars.valueScale(data.rows.map(triple), task.direction);
    const skills = bars.skillScale(data.rows.map((row) => row.skill));
    const gains = bars.skillScale(data.rows.map((row) => row.incremental));
    const best = task.direction === "max" ? "descending" : "ascending";
    return [
      {
        key: "value", label: task.metric, first: best, className: "measured",
        cell: (row) =>
          row.value === null ? missing(row) : bars.measured(triple(row), values, format.number),
        sort: (row) => row.value,
      },
      {
        key: "skill", label: "Skill", first: "descending", className: "measured",
        cell: (row) => bars.measured(row.skill, skills, format.fixed),
        sort: (row) => row.skill?.[0] ?? null,
      },
      plain("share", "Share of attainable", "descending", (row) => row.share, format.percent),
      {
        key: "incremental", label: "Beyond controls", first: "descending",
        className: "measured",
        cell: (row) => bars.measured(row.incremental, gains, format.fixed),
        sort: (row) => row.incremental?.[0] ?? null,
      },
    ];
  };

  const countColumns = () => [
    plain("p", "p (Holm)", "ascending", (row) => row.p_holm, format.p),
    {
      key: "declined", label: "Declined", first: "descending", className: "number",
      cell: (row) => row.declined
        ? [String(row.declined), row.reason && row.value !== null
          ? h("small", null, runcast.foreign(row.reason)) : null]
        : "0",
      sort: (row) => row.declined,
    },
    plain("observed", "Observed", "ascending", (row) => row.cost_observed, format.percent),
    plain("passes", "Cost in passes", "ascending", (row) => row.cost_passes, format.percent),
    plain("seconds", "Cost in seconds", "ascending", (row) => row.cost_seconds, format.percent),
  ];

  const scores = (board, task, data, { query, update }) => {
    const entries = new Map(board.entries.map((entry) => [entry.name, entry]));
    const who = {
      key: "name", label: "Predictor", first: "ascending", className: "who", header: true,
      cell: (row) => parts.named(board, entries.get(row.name)), sort: (row) => row.name,
    };
    const rank = {
      key: "rank", label: "Rank", first: "ascending", className: "rank",
      cell: (row) => parts.rank(row, data.rows), sort: (row) => row.rank,
    };
    return runcast.table({
      caption: `Scores on ${task.name}`,
      columns: [rank, who, ...scoreColumns(data, task), ...countColumns()],
      rows: data.rows,
      sort: query.get("sort") ?? "rank",
      order: query.get("order") ?? undefined,
      sorted: (sort, order) => update({ sort, order }),
    }).element;
  };

  const who = (board) => ({
    key: "name", label: "Predictor", header: true, className: "who", first: "ascending",
    cell: (row) => parts.predictor(board, row.name), sort: (row) => row.name,
  });

  const ranged = (triple, show) =>
    triple !== null && triple !== undefined && triple[0] !== null
      ? [h("span", { class: "value" }, show(triple[0])),
        h("small", null, format.range(triple[1], triple[2], show))]
      : [format.NONE];

  /** Every other metric, in columns. */
  const others = (board, data) => {
    const names = [...new Set(data.rows.flatMap((row) => Object.keys(row.metrics ?? {})))];
    if (!names.length) return null;
    const read = (row, name) => runcast.own(row.metrics ?? {}, name);
    const columns = names.map((name) => ({
      key: name, label: name, className: "number", first: "descending",
      cell: (row) => ranged(read(row, name), format.number),
      sort: (row) => read(row, name)?.[0] ?? null,
    }));
    const caption = "Other metrics";
    const table = runcast.table({ caption, columns: [who(board), ...columns], rows: data.rows });
    return h("details", { class: "others" }, h("summary", null, caption), table.element);
  };

  /** Skill within each level of each setting, a column each. */
  const slices = (board, data) => {
    if (!data.slices.length) return null;
    const columns = data.slices.map((slice, index) => {
      const skills = new Map(slice.rows.map((row) => [row.name, row.skill]));
      const skill = (row) => skills.get(row.name) ?? null;
      return {
        key: String(index), first: "descending", className: "number heat",
        label: [h("small", null, slice.by), h("br"), slice.level],
        spoken: `${slice.by} ${slice.level}`,
        title: `${format.count(slice.n, "example")}, ` +
          format.count(slice.families, "family", "families"),
        cell: (row) => ranged(skill(row), (value) => format.fixed(value, 2)),
        tint: (row) => bars.tint(skill(row)?.[0] ?? null),
        sort: (row) => skill(row)?.[0] ?? null,
      };
    });
    const named = new Set(data.slices.flatMap((slice) => slice.rows.map((row) => row.name)));
    const rows = [...named].map((name) => ({ name }));
    const caption = "Skill within groups of runs";
    return parts.section(caption,
      parts.note("The same answers, scored on a part of the examples. A predictor that ",
        "only tells one group from another has no skill inside it."),
      runcast.table({ caption, columns: [who(board), ...columns], rows }).element);
  };

  const controls = (data) => {
    if (!data.controls.length) return null;
    const scale = bars.skillScale(data.controls.map((row) => row.skill));
    const columns = [
      {
        key: "by", label: "Knows only", header: true, className: "who", first: "ascending",
        cell: (row) => row.by, sort: (row) => row.by,
      },
      plain("value", "Score", "ascending", (row) => row.value, format.number),
      {
        key: "skill", label: "Skill", className: "measured", first: "descending",
        cell: (row) => bars.measured(row.skill, scale, format.fixed),
        sort: (row) => row.skill?.[0] ?? null,
      },
    ];
    const caption = "Negative controls";
    return parts.section(caption,
      parts.note("What a predictor reaches that is told one setting and nothing of the run."),
      runcast.table({ caption, columns, rows: data.controls }).element);
  };

  const pairs = (board, data) => {
    const rows = data.pairs.filter((row) => row.p_holm !== null && row.p_holm < LEVEL);
    const title = "Differences that hold";
    if (!rows.length) {
      return parts.section(title,
        parts.note(`No two predictors differ at p < ${LEVEL} after Holm's correction.`));
    }
    const name = (key, label, header) => ({
      key, label, header, className: "who", first: "ascending",
      cell: (row) => parts.predictor(board, row[key]), sort: (row) => row[key],
    });
    const columns = [
      name("first", "First", true),
      name("second", "Second", false),
      {
        key: "difference", label: "Difference", className: "number", first: "descending",
        cell: (row) => ranged([row.difference, row.low, row.high], format.number),
        sort: (row) => row.difference,
      },
      plain("p", "p (Holm)", "ascending", (row) => row.p_holm, format.p),
    ];
    return parts.section(title,
      parts.note(`First less second in ${format.count(rows.length, "pair")} of `,
        `${data.pairs.length} with p < ${LEVEL} after Holm's correction.`),
      runcast.table({ caption: title, columns, rows, sort: "p" }).element);
  };

  runcast.views.task = async (board, params) => {
    const task = board.tasks.find((one) => one.name === params.rest);
    if (!task) return runcast.views.missing(`${board.name} has no task "${params.rest}".`, board);
    const data = await runcast.loadTask(board.name, task.name);
    return h("div", null,
      h("p", { class: "over" }, "Task"),
      h("h1", { tabindex: "-1" }, ...parts.broken(task.name)),
      h("p", { class: "lede" }, task.question),
      facts(board, task), scores(board, task, data, params),
      slices(board, data), controls(data), others(board, data), pairs(board, data));
  };
})();
