// Small parts that several views share.
"use strict";

(() => {
  const { h, foreign, format } = runcast;
  const KINDS = { reference: "reference", control: "control" };

  const badge = (text, className = "") =>
    h("span", { class: `badge ${className}` }, text);

  /** What a predictor reads, as words. */
  const reads = (entry) =>
    entry.reads.length
      ? entry.reads.map((one) => badge(format.READS[one] ?? one, `reads-${one}`))
      : [badge("nothing")];

  const kind = (entry) =>
    entry.kind in KINDS ? badge(KINDS[entry.kind], "kind") : null;

  const copy = (entry) => (entry.copies.length ? badge("copy", "warning") : null);

  /** A link to a predictor's page. */
  const predictor = (board, name) =>
    h("a", { href: format.route.predictor(board.name, name), class: "name" }, foreign(name));

  const task = (board, name) =>
    h("a", { href: format.route.task(board.name, name), class: "task" }, ...broken(name));

  /** A task's name, which may break behind a slash. */
  const broken = (name) =>
    name.split("/").flatMap((part, index) => (index ? ["/", h("wbr"), part] : [part]));

  /** Facts as a description list: [term, content], without those that have no content. */
  const facts = (pairs, className = "facts") =>
    h(
      "dl", { class: className },
      pairs
        .filter(([, content]) => content !== null && content !== "")
        .map(([term, content]) => h("div", null, h("dt", null, term), h("dd", null, content))),
    );

  /** A name in a table's first column, with what has to be known about its entry. */
  const named = (board, entry) => [predictor(board, entry.name), kind(entry), copy(entry)];

  /** Ranks; ties share one. */
  const rank = (row, rows) => {
    if (row.rank === null) return [format.NONE];
    const tied = rows.filter((other) => other.rank === row.rank).length > 1;
    return tied ? [`${row.rank}=`, runcast.spoken(" tied")] : [String(row.rank)];
  };

  const section = (title, ...content) => h("section", null, h("h2", null, title), content);

  const note = (...content) => h("p", { class: "note" }, content);

  runcast.parts = {
    badge, reads, kind, predictor, task, broken, facts, named, rank, section, note,
  };
})();
