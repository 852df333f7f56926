// One predictor: what it says of itself, and how it does on every task.
"use strict";

(() => {
  const { h, own, foreign, format, bars, parts } = runcast;

  const seconds = (value) => (value === null ? null : `${format.number(value)} s`);

  const said = (entry) =>
    parts.facts([
      ["Authors", entry.authors.length ? h("span", { class: "few" }, entry.authors.map(
        (author, index) => [index ? ", " : null, foreign(author)])) : null],
      ["Contact", entry.contact ? foreign(entry.contact, "long") : null],
      ["Code", entry.code ? runcast.outside(entry.code) : null],
      ["Licence", entry.licence ? foreign(entry.licence) : null],
      ["Predictor", h("code", null, foreign(entry.predictor))],
      ["Reads", parts.reads(entry)],
      ["Signals", entry.signals === null
        ? "every one that is recorded"
        : entry.signals.length ? foreign(entry.signals.join(", "), "long") : "none"],
      ["Hardware (self-reported)", entry.compute.hardware ? foreign(entry.compute.hardware) : null],
      ["Fitting (self-reported)", seconds(entry.compute.fit_s)],
      ["Predicting (self-reported)", seconds(entry.compute.predict_s)],
      ["Cost", entry.cost_passes === null ? null
        : `${format.percent(entry.cost_passes)} of a full training, in passes over data`],
      ["Submitted", entry.submitted],
      ["Folder", h("code", null, foreign(entry.folder))],
      ["Digest", h("code", { class: "digest" }, entry.sha256)],
    ]);

  const copies = (board, entry) =>
    entry.copies.length
      ? h("p", { class: "warned" },
        h("strong", null, "Copy: "), "its predictions are the same, byte for byte, as those of ",
        entry.copies.flatMap((name, index) =>
          [index ? ", " : null, parts.predictor(board, name)]), ".")
      : null;

  const pools = (board, entry) => {
    const rows = Object.keys(format.POOLS).flatMap((pool) => {
      const all = board.pools[pool];
      const row = all.find((one) => one.name === entry.name);
      return row ? [{ ...row, pool, all }] : [];
    });
    const scale = bars.skillScale(rows.map((row) => row.skill));
    const columns = [
      {
        key: "pool", label: "Pool", header: true, className: "who",
        cell: (row) => h("a", { href: `#/${board.name}?pool=${row.pool}` }, format.POOLS[row.pool]),
      },
      {
        key: "rank", label: "Rank", className: "number",
        cell: (row) => [...parts.rank(row, row.all), ` of ${row.all.length}`],
      },
      {
        key: "skill", label: "Skill", className: "measured",
        cell: (row) => bars.measured(row.skill, scale, format.fixed),
      },
      {
        key: "win", label: "Win rate", className: "number",
        cell: (row) => format.percent(row.win_rate[0]),
      },
    ];
    const caption = "In each pool";
    return parts.section(caption, runcast.table({ caption, columns, rows }).element);
  };

  const tasks = (board, entry, { query, update }) => {
    const skills = own(board.skills, entry.name) ?? {};
    const rows = board.tasks.map((task) => ({ task, skill: own(skills, task.name) }));
    const scale = bars.skillScale(rows.map((row) => row.skill));
    const columns = [
      {
        key: "name", label: "Task", header: true, className: "who", first: "ascending",
        cell: ({ task }) => parts.task(board, task.name), sort: ({ task }) => task.name,
      },
      {
        key: "skill", label: "Skill", className: "measured wide", first: "descending",
        cell: (row) => bars.measured(row.skill, scale, format.fixed),
        sort: (row) => row.skill?.[0] ?? null,
      },
      {
        key: "question", label: "Question", className: "text",
        cell: ({ task }) => task.question,
      },
    ];
    const caption = "Skill on every task";
    const sorted = (sort, order) => update({ sort, order });
    const order = query.get("order") ?? undefined;
    const table = runcast.table({ caption, columns, rows, sort: query.get("sort"), order, sorted });
    return parts.section(caption, table.element);
  };

  runcast.views.predictor = (board, params) => {
    const entry = board.entries.find((one) => one.name.toWellFormed() === params.rest);
    if (!entry) {
      const text = `${board.name} has no predictor "${format.short(params.rest)}".`;
      return runcast.views.missing(text, board);
    }
    return h("div", null,
      h("p", { class: "over" }, "Predictor ", parts.kind(entry)),
      h("h1", { tabindex: "-1", class: "clamped" }, foreign(entry.name)),
      copies(board, entry),
      h("p", { class: "lede" }, foreign(entry.description)),
      said(entry), pools(board, entry), tasks(board, entry, params));
  };
})();
