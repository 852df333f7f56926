/* The run explorer: the list of a corpus's runs, and the way to one of them. */
"use strict";

(function () {
  const runcast = window.runcast;
  const { h } = runcast.charts;
  const PAGE = 50;
  const FILTERS = [
    ["optimizer.name", "Optimizer"],
    ["schedule.name", "Schedule"],
    ["batch_size", "Batch size"],
    ["status", "Status"],
  ];
  const ACCURACY = "final.test_accuracy";
  const COLUMNS = [
    ["run_id", "Run"],
    ["optimizer.name", "Optimizer"],
    ["optimizer.lr", "Rate"],
    ["schedule.name", "Schedule"],
    ["batch_size", "Batch"],
    ["augmentation.name", "Augmentation"],
    ["seed", "Seed"],
    ["status", "Status"],
    [ACCURACY, "Final accuracy"],
  ];

  /** Return the address of a run's page. */
  function address(board, run, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value != null && value !== "");
    const text = new URLSearchParams(given).toString();
    const path = `#/${encodeURIComponent(board.name)}/runs/${encodeURIComponent(run)}`;
    return text ? `${path}?${text}` : path;
  }

  /** Return a message in place of a view. */
  function message(title, ...parts) {
    return h("section", { class: "rc-view" },
      h("h1", { tabindex: "-1" }, title),
      h("div", { class: "rc-message", role: "alert" }, ...parts));
  }

  /** Compare two cells; what is absent comes last in both directions. */
  function compared(a, b, down) {
    const lacking = (value) => value == null || Number.isNaN(value);
    if (lacking(a) || lacking(b)) return Number(lacking(a)) - Number(lacking(b));
    const order = typeof a === "number" && typeof b === "number"
      ? a - b : String(a).localeCompare(String(b));
    return down ? -order : order;
  }

  /** Return a cell of the list. */
  function cell(board, row, name) {
    const value = row[name];
    if (name === "run_id") {
      return h("th", { scope: "row" },
        h("a", { href: address(board, value), class: "rc-run" }, value));
    }
    if (name !== ACCURACY) {
      const text = typeof value === "number" ? String(Number(value.toPrecision(4))) : value;
      return h("td", { class: typeof value === "number" ? "rc-number" : null }, text ?? "-");
    }
    const bar = h("span", { class: "rc-share", "aria-hidden": "true" }, h("span"));
    bar.firstChild.style.width = `${100 * Math.max(0, Math.min(1, value ?? 0))}%`;
    return h("td", { class: "rc-number" }, bar, value == null ? "-" : value.toFixed(4));
  }

  /** Return the list of runs, with filters, an order and pages. */
  function list(board, runs, context) {
    const query = context.query || new URLSearchParams();
    const sort = query.get("sort") || `-${ACCURACY}`;
    const columns = COLUMNS.filter(([name]) => runs.some((row) => row[name] != null));
    const state = { by: sort.replace(/^-/, ""), down: sort.startsWith("-"), page: 0, rows: [] };
    const texts = runs.map((row) => Object.values(row).join(" ").toLowerCase());
    const body = h("tbody");
    const count = h("output", { class: "rc-count", "aria-live": "polite" });
    const search = h("input", {
      type: "search", value: query.get("q"), placeholder: "text in any setting", name: "q",
    });
    const chosen = FILTERS.filter(([name]) => columns.some(([known]) => known === name)).map(
      ([name, label]) => {
        const levels = [...new Set(runs.map((row) => row[name]))]
          .filter((level) => level != null).sort((a, b) => compared(a, b, false));
        const select = h("select", { name }, h("option", { value: "" }, "all"),
          ...levels.map((level) => h("option", { value: String(level) }, String(level))));
        select.value = levels.map(String).includes(query.get(name)) ? query.get(name) : "";
        return { name, label, select };
      },
    );
    const heads = columns.map(([name, label]) =>
      h("th", { scope: "col" }, h("button", { type: "button", click: () => order(name) }, label)));
    const pages = h("nav", { class: "rc-pages", "aria-label": "Pages of runs" });

    function order(name) {
      state.down = state.by === name ? !state.down : name === ACCURACY;
      state.by = name;
      apply();
    }
    function apply() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      state.rows = runs.filter((row, i) =>
        chosen.every(({ name, select }) => !select.value || String(row[name]) === select.value) &&
        words.every((word) => texts[i].includes(word)));
      state.rows.sort((a, b) =>
        compared(a[state.by], b[state.by], state.down) || compared(a.run_id, b.run_id, false));
      state.page = 0;
      columns.forEach(([name], i) => {
        const direction = state.down ? "descending" : "ascending";
        heads[i].setAttribute("aria-sort", name === state.by ? direction : "none");
      });
      if (context.update) {
        const filters = Object.fromEntries(chosen.map((one) => [one.name, one.select.value]));
        const now = `${state.down ? "-" : ""}${state.by}`;
        context.update({ ...filters, q: search.value, sort: now === `-${ACCURACY}` ? "" : now });
      }
      show();
    }
    function show() {
      const first = state.page * PAGE;
      const rows = state.rows.slice(first, first + PAGE);
      body.replaceChildren(...rows.map((row) =>
        h("tr", {}, ...columns.map(([name]) => cell(board, row, name)))));
      const of = state.rows.length === runs.length ? "" : ` of ${runs.length}`;
      count.textContent = `${state.rows.length}${of} runs`;
      const last = Math.max(0, Math.ceil(state.rows.length / PAGE) - 1);
      const turn = (label, to) => h("button", {
        type: "button", disabled: to < 0 || to > last,
        click: () => { state.page = to; show(); },
      }, label);
      pages.replaceChildren(turn("Previous", state.page - 1),
        h("span", {}, `page ${state.page + 1} of ${last + 1}`), turn("Next", state.page + 1));
    }
    search.addEventListener("input", apply);
    for (const { select } of chosen) select.addEventListener("change", apply);
    const form = h("form", { class: "rc-controls", submit: (event) => event.preventDefault() },
      ...chosen.map(({ label, select }) => h("label", {}, label, select)),
      h("label", { class: "rc-wide" }, "Search", search), count);
    const table = h("div", { class: "rc-scroll", tabindex: "0", role: "region",
      "aria-label": "Runs" },
      h("table", { class: "rc-table rc-runs" }, h("thead", {}, h("tr", {}, ...heads)), body));
    apply();
    return h("section", { class: "rc-view" },
      h("h1", { tabindex: "-1" }, "Runs"),
      h("p", { class: "rc-note" }, `Every run of the corpus ${board.corpus.name}, read from its ` +
        "own Parquet files. Open one to see its curves, what its early window says, and what " +
        "was forecast of it."),
      form, table, pages);
  }

  /** Return the view of a board's runs, or of one of them. */
  runcast.views.explorer = async function (board, context = {}) {
    if (window.location.protocol === "file:") {
      return message("Runs",
        h("p", {}, "A page that is opened from a file may not read the corpus. Serve the " +
          "folder of this site and open the address that the command prints:"),
        h("pre", {}, h("code", {}, "harness leaderboard serve")));
    }
    try {
      const data = await runcast.explorerData(board);
      const runs = await data.runs();
      if (!context.run) return list(board, runs, context);
      const row = runs.find((one) => one.run_id === context.run);
      if (row) return await runcast.explorerRun({ board, data, runs, row, context });
      return message("No such run", h("p", {},
        `The corpus ${board.corpus.name} has no run called `, h("bdi", {}, context.run), "."),
        h("p", {}, h("a", { href: `#/${encodeURIComponent(board.name)}/runs` }, "All runs")));
    } catch (error) {
      return message("The runs cannot be shown", h("p", {}, String(error.message)));
    }
  };
})();
