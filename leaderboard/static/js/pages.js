// Pages that are in index.html already, messages, and the head and foot of a board.
"use strict";

(() => {
  const { h, format, parts } = runcast;
  const kept = new Map();

  /** Remember the sections of index.html, which leave it with the first view. */
  runcast.keepPages = () => {
    for (const page of document.querySelectorAll("[data-page]")) {
      kept.set(page.dataset.page, page);
    }
  };
  runcast.views.submit = () => kept.get("submit");
  runcast.views.downloads = () => kept.get("downloads");

  /** What is said of an address that leads nowhere. */
  runcast.views.missing = (text, board = null) =>
    h("div", null,
      h("h1", { tabindex: "-1" }, "Not found"),
      h("p", null, runcast.foreign(text)),
      h("p", null, h("a", { href: board ? format.route.board(board.name) : "#/" },
        board ? `Back to ${board.name}` : "To the leaderboard")));

  runcast.views.failed = (text) =>
    h("div", { role: "alert" },
      h("h1", { tabindex: "-1" }, "This view could not be shown"),
      h("p", null, runcast.foreign(text)),
      h("p", null, h("a", { href: "#/" }, "To the leaderboard")));

  /** What a board is about. */
  parts.boardHead = (board) =>
    h("div", { class: "head" },
      h("h1", { tabindex: "-1" }, board.name),
      h("p", { class: "lede" },
        "Who can tell from the start of a training run how it ends? ",
        format.count(board.entries.filter((e) => e.kind === "submission").length, "predictor"), ", ",
        format.count(board.tasks.length, "task"), ", ",
        format.count(board.corpus.runs, "run"), " in ",
        format.count(board.corpus.families, "family", "families"), ", corpus ",
        `${board.corpus.name} ${board.corpus.version}`.trim(), "."),
      board.hidden
        ? parts.note(h("strong", null, "Hidden runs. "), "Scores shown here are rounded and ",
          "move in steps; exact scores and intervals are published when this version closes.")
        : null);

  /** How to read the table. */
  parts.legend = (board) => {
    const template = document.getElementById("legend");
    const digest = h("p", { class: "note" }, "Corpus digest ",
      h("code", { class: "digest" }, board.corpus.sha256),
      board.corpus.licence ? `, licence ${board.corpus.licence}` : null, ".");
    return h("div", { class: "legend" }, template.content.cloneNode(true), digest);
  };
})();
