// The overall table of a board: who is ahead, in which pool, at what cost.
"use strict";

(() => {
  const { h, own, format, bars, parts, controls } = runcast;
  const KINDS = [["control", "Controls"], ["reference", "References"]];

  const listed = (query, key, allowed) =>
    (query.get(key) ?? "").split(".").filter((value) => allowed.includes(value));

  const authors = (entry) =>
    h("span", { class: "few" },
      entry.authors.map((author, index) => [index ? ", " : null, runcast.foreign(author)]));

  /** Everything that the field searches, in lower case. */
  const haystack = ({ entry }) =>
    [entry.name, entry.predictor, entry.description, entry.licence, ...entry.authors]
      .join("\n")
      .toLowerCase();

  const scoreColumns = (rows) => {
    const scale = bars.skillScale(rows.map((row) => row.skill));
    return [
      {
        key: "skill", label: "Skill", first: "descending", className: "measured",
        cell: (row) => bars.measured(row.skill, scale, format.fixed),
        sort: (row) => row.skill[0],
      },
      {
        key: "win", label: "Win rate", first: "descending", className: "number",
        cell: (row) => ranged(row.win_rate, format.percent, (v) => (100 * v).toFixed(0)),
        sort: (row) => row.win_rate[0],
      },
      {
        key: "mean-rank", label: "Mean rank", first: "ascending", className: "number",
        cell: (row) => ranged(row.mean_rank, (value) => format.fixed(value, 1)),
        sort: (row) => row.mean_rank[0],
      },
    ];
  };

  const ranged = ([value, low, high], show, bare = show) => {
    const range = format.range(low, high, bare);
    return [h("span", { class: "value" }, show(value)), range ? h("small", null, range) : null];
  };

  const aboutColumns = () => [
    {
      key: "tasks", label: "Tasks", first: "descending", className: "number",
      cell: (row) => String(row.tasks), sort: (row) => row.tasks,
    },
    {
      key: "cost", label: "Cost", first: "ascending", className: "number",
      title: "Share of a full training, in passes over data",
      cell: ({ entry }) => format.percent(entry.cost_passes),
      sort: ({ entry }) => entry.cost_passes,
    },
    {
      key: "reads", label: "Reads", className: "reads", first: "ascending",
      cell: ({ entry }) => parts.reads(entry), sort: ({ entry }) => entry.reads.length,
    },
    {
      key: "authors", label: "Authors", className: "long", first: "ascending",
      cell: ({ entry }) => authors(entry),
      sort: ({ entry }) => entry.authors.join(", ") || null,
    },
    {
      key: "licence", label: "Licence", className: "short", first: "ascending",
      cell: ({ entry }) => h("span", { class: "few" }, runcast.foreign(entry.licence || format.NONE)),
      sort: ({ entry }) => entry.licence || null,
    },
    {
      key: "submitted", label: "Submitted", className: "short", first: "descending",
      cell: ({ entry }) => entry.submitted ?? format.NONE,
      sort: ({ entry }) => entry.submitted,
    },
  ];

  const taskColumns = (board) =>
    board.tasks.map((task) => {
      const skill = (row) => own(own(board.skills, row.name) ?? {}, task.name);
      return {
        key: task.name, label: parts.broken(task.name), spoken: task.name, first: "descending", className: "number heat",
        title: task.question,
        cell: (row) => format.fixed(skill(row)?.[0], 2),
        tint: (row) => bars.tint(skill(row)?.[0] ?? null),
        sort: (row) => skill(row)?.[0] ?? null,
      };
    });

  const columnsOf = (board, rows, withTasks) => [
    {
      key: "rank", label: "Rank", first: "ascending", className: "rank",
      cell: (row) => parts.rank(row, rows), sort: (row) => row.rank,
    },
    {
      key: "name", label: "Predictor", first: "ascending", className: "who", header: true,
      cell: ({ entry }) => parts.named(board, entry), sort: (row) => row.name,
    },
    ...scoreColumns(rows),
    ...aboutColumns(),
    ...(withTasks ? taskColumns(board) : []),
  ];

  /** Open where there is room for it, or where one of them is set. */
  const opened = ({ reads, hide, columns }) =>
    window.matchMedia("(min-width: 50rem)").matches || [...reads, ...hide, ...columns].length > 0;

  const filters = (board, state, change) => {
    const pools = Object.entries(format.POOLS).map(([pool, label]) => [
      pool, `${label} (${board.pools[pool].length})`,
    ]);
    return h(
      "form", { class: "filters", role: "search", "aria-label": "Filter predictors",
        on: { submit: (event) => event.preventDefault() } },
      controls.search({
        label: "Find", value: state.q, typed: (q) => change({ q }),
      }),
      controls.radios({
        legend: "Pool: what may be read", name: "pool", options: pools, value: state.pool,
        chosen: (pool) => change({ pool }),
      }),
      h("details", { class: "more", open: opened(state) },
        h("summary", null, "More filters"),
        h("div", { class: "filters" },
          controls.ticks({
            legend: "Must read", name: "reads", options: Object.entries(format.READS),
            values: state.reads, ticked: (reads) => change({ reads }),
          }),
          controls.ticks({
            legend: "Hide", name: "hide", options: KINDS, values: state.hide,
            ticked: (hide) => change({ hide }),
          }),
          controls.ticks({
            legend: "Show", name: "columns", options: [["tasks", "A column per task"]],
            values: state.columns, ticked: (columns) => change({ columns }),
          }),
        ),
      ),
    );
  };

  const stateOf = (query, board) => ({
    q: query.get("q") ?? "",
    pool: own(board.pools, query.get("pool") ?? "") ? query.get("pool") : "settings",
    reads: listed(query, "reads", Object.keys(format.READS)),
    hide: listed(query, "hide", KINDS.map(([kind]) => kind)),
    columns: listed(query, "columns", ["tasks"]),
  });

  const isShown = (state) => {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    return (row) =>
      words.every((word) => row.text.includes(word)) &&
      state.reads.every((one) => row.entry.reads.includes(one)) &&
      !state.hide.includes(row.entry.kind);
  };

  const rowsOf = (board, pool) => {
    const entries = new Map(board.entries.map((entry) => [entry.name, entry]));
    return board.pools[pool].map((row) => {
      const entry = entries.get(row.name);
      return { ...row, entry, text: haystack({ entry }) };
    });
  };

  runcast.views.overall = (board, { query, update }) => {
    const state = stateOf(query, board);
    const counted = h("p", { class: "counted" });
    const holder = h("div");
    let table = null;
    let rows = [];
    const count = () => {
      const left = table.show(isShown(state));
      counted.textContent = `${left} of ${format.count(rows.length, "predictor")} shown`;
    };
    const rebuild = () => {
      rows = rowsOf(board, state.pool);
      table = runcast.table({
        caption: `Predictors of ${board.name}, ${format.POOLS[state.pool]}`,
        columns: columnsOf(board, rows, state.columns.length > 0),
        rows,
        sort: query.get("sort") ?? "rank",
        order: query.get("order") ?? undefined,
        sorted: (sort, order) => update({ sort: sort === "rank" && !order ? null : sort, order }),
      });
      holder.replaceChildren(table.element);
    };
    const change = (changes) => {
      Object.assign(state, changes);
      if ("pool" in changes || "columns" in changes) rebuild();
      count();
      runcast.tell(`${counted.textContent}.`);
      const value = Object.values(changes)[0];
      const plain = Array.isArray(value) ? value.join(".") : value;
      update({ [Object.keys(changes)[0]]: plain === "settings" ? null : plain });
    };
    rebuild();
    count();
    return h("div", null,
      runcast.parts.boardHead(board),
      filters(board, state, change), counted, holder, runcast.parts.legend(board));
  };
})();
