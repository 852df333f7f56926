// The tasks of a board: what is asked, how it is scored, who is ahead.
"use strict";

(() => {
  const { h, own, format, bars, parts } = runcast;

  const best = (board, task) => {
    let found = null;
    for (const entry of board.entries) {
      const skill = own(own(board.skills, entry.name) ?? {}, task.name);
      if (skill && (!found || skill[0] > found.skill[0])) found = { entry, skill };
    }
    return found;
  };

  runcast.views.tasks = (board) => {
    const rows = board.tasks.map((task) => ({ task, best: best(board, task) }));
    const scale = bars.skillScale(rows.map((row) => row.best?.skill ?? null));
    const columns = [
      {
        key: "name", label: "Task", header: true, className: "who", first: "ascending",
        cell: ({ task }) => parts.task(board, task.name), sort: ({ task }) => task.name,
      },
      {
        key: "question", label: "Question", className: "text",
        cell: ({ task }) => task.question,
      },
      {
        key: "best", label: "Best skill", className: "measured", first: "descending",
        cell: (row) => bars.measured(row.best?.skill ?? null, scale, format.fixed),
        sort: (row) => row.best?.skill[0] ?? null,
      },
      {
        key: "who", label: "Best predictor", className: "who plain", first: "ascending",
        cell: (row) =>
          row.best ? parts.predictor(board, row.best.entry.name) : format.NONE,
        sort: (row) => row.best?.entry.name ?? null,
      },
      {
        key: "window", label: "Shown", className: "number", first: "ascending",
        cell: ({ task }) => format.percent(task.window), sort: ({ task }) => task.window,
      },
      {
        key: "metric", label: "Metric", className: "short", first: "ascending",
        cell: ({ task }) => task.metric, sort: ({ task }) => task.metric,
      },
      {
        key: "n", label: "Examples", className: "number", first: "descending",
        cell: ({ task }) => task.n.toLocaleString("en"), sort: ({ task }) => task.n,
      },
      {
        key: "families", label: "Families", className: "number", first: "descending",
        cell: ({ task }) => task.families?.toLocaleString("en") ?? format.NONE,
        sort: ({ task }) => task.families,
      },
    ];
    const caption = `Tasks of ${board.name}`;
    const table = runcast.table({ caption, columns, rows });
    return h("div", null,
      h("h1", { tabindex: "-1" }, caption),
      parts.note(format.count(rows.length, "question"), " about the same runs. Families ",
        "are runs that differ in the seed only; intervals resample them."),
      table.element);
  };
})();
