/* One run: its settings, its curves with the early window, and what was forecast. */
"use strict";

(function () {
  const runcast = window.runcast;
  const { h, number } = runcast.charts;
  const FACTS = [
    ["status", "Status"],
    ["final.test_accuracy", "Final accuracy"],
    ["optimizer.name", "Optimizer"],
    ["optimizer.lr", "Rate"],
    ["schedule.name", "Schedule"],
    ["batch_size", "Batch size"],
    ["epochs", "Epochs"],
    ["augmentation.name", "Augmentation"],
    ["model.name", "Model"],
    ["dataset.name", "Data"],
    ["seed", "Seed"],
    ["diverged_step", "Diverged at step"],
  ];
  const FIRST = "train_loss";
  const REASONS = {
    no_window: "there is no such window yet",
    too_short: "the window is too short for it",
    diverged: "the loss is not finite in the window",
    ill_conditioned: "the curve does not determine it",
    not_applicable: "it is not defined for this run",
  };

  /** Return a labelled choice; `act` is told the new value. */
  function choice(label, name, options, value, act) {
    const select = h("select", { name, change: () => act(select.value) },
      ...options.map(([key, text]) => h("option", { value: key }, text)));
    select.value = value;
    return h("label", {}, label, select);
  }

  /** Return a labelled tick. */
  function tick(label, name, value, act) {
    const box = h("input", { type: "checkbox", name, checked: value,
      change: () => act(box.checked) });
    return h("label", { class: "rc-tick" }, box, label);
  }

  /** Return the formula of a fitted law. */
  function formula(law) {
    const floor = law.offset ? `${number(law.offset)} + ` : "";
    const power = h("sup", {}, number(-law.exponent));
    return h("span", {}, `L(t) = ${floor}${number(law.prefactor)} t`, power);
  }

  /** Return the table of laws; `shown` holds those that are drawn. */
  function lawTable(laws, says, shown, redraw, size) {
    const meaning = new Map(says.map((law) => [law.name, law.says]));
    const rows = laws.map((law) => {
      const name = h("span", { title: meaning.get(law.law) }, law.law.replaceAll("_", " "));
      const ok = law.status === "ok";
      const where = law.first_step == null || law.last_step == null ? "-"
        : `epochs ${Math.ceil(law.first_step / size)} to ${Math.ceil(law.last_step / size)}`;
      if (law.law === "knee") {
        const by = law.schedule ? ", where the learning rate changed" : "";
        const found = law.knee_step == null ? "none found"
          : `at epoch ${number(law.knee_step / size)}${by}`;
        return [name, ok ? found : REASONS[law.status] || law.status, "-", where, law.version];
      }
      const box = tick("", `law-${law.law}`, shown.has(law.law), (on) => {
        shown[on ? "add" : "delete"](law.law);
        redraw();
      });
      box.append(h("span", { class: `rc-key rc-law-${law.law}`, "aria-hidden": "true" }), name);
      return [ok ? box : name, ok ? formula(law) : REASONS[law.status] || law.status,
        ok ? number(law.r2) : "-", where, law.version];
    });
    const head = ["Estimator", "Found", "R\u00b2", "Fitted to", "Version"];
    return runcast.charts.table("Law and knee of the epoch means, t in epochs", head, rows);
  }

  /** Return the card with the curves of a run. */
  async function curveCard({ data, runs, row, state, update }) {
    const Plot = await runcast.charts.plotting();
    const twins = runs.filter((one) =>
      one.family_id != null && one.family_id === row.family_id && one.run_id !== row.run_id);
    const known = data.description.signals;
    const place = h("div", { class: "rc-figure" });
    const lawPlace = h("div");
    const drawn = { laws: [], shown: new Set() };
    let chart = null;
    let asked = 0;

    async function read() {
      const mine = ++asked;
      place.setAttribute("aria-busy", "true");
      const ids = [row.run_id, ...(state.twins ? twins.map((one) => one.run_id) : [])];
      try {
        const task = state.task;
        const isLoss = state.signal === FIRST;
        const [curves, laws] = await Promise.all([
          data.curves(ids, state.signal),
          isLoss ? data.laws(row.run_id, task.until) : [],
        ]);
        if (mine !== asked) return;
        drawn.laws = laws;
        const first = ["burn_in_power_law", "power_law", "shifted_power"].find((name) =>
          laws.some((law) => law.law === name && law.status === "ok"));
        drawn.shown = new Set(first ? [first] : []);
        show(curves, task);
        const table = () => lawTable(laws, data.description.laws, drawn.shown,
          () => chart.redraw(), row.steps_per_epoch);
        lawPlace.replaceChildren(...(isLoss ? [table()] : []));
      } catch (error) {
        if (mine !== asked) return;
        place.replaceChildren(h("p", { class: "rc-message", role: "alert" }, error.message));
      }
      place.removeAttribute("aria-busy");
    }
    function show(curves, task) {
      const signal = known.find((one) => one.name === state.signal);
      if (!curves.has(row.run_id)) {
        place.replaceChildren(h("p", { class: "rc-message" },
          `${signal.name} was not recorded for this run.`));
        return;
      }
      chart = runcast.charts.responsive((width) => runcast.explorerCurve(Plot, {
        row, curves, signal, until: task.until, width, logX: state.logX, logY: state.logY,
        laws: drawn.laws.filter((law) => law.law === "knee" || drawn.shown.has(law.law)),
      }));
      place.replaceChildren(chart);
    }
    const redraw = () => chart && chart.redraw();
    const controls = h("div", { class: "rc-controls" },
      choice("Signal", "signal", known.map(({ name }) => [name, name]), state.signal, (value) => {
        state.signal = value;
        update({ signal: value });
        read();
      }),
      tick("log x", "logx", state.logX, (on) => { state.logX = on; redraw(); }),
      tick("log y", "logy", state.logY, (on) => { state.logY = on; redraw(); }),
      twins.length ? tick(`${twins.length} replicates`, "twins", state.twins, (on) => {
        state.twins = on;
        read();
      }) : null);
    await read();
    const card = h("section", { class: "rc-card", "aria-labelledby": "rc-curves" },
      h("h2", { id: "rc-curves" }, "Curves"), controls, place, lawPlace);
    return { card, read };
  }

  /** Return the facts of a run. */
  function facts(row) {
    return h("dl", { class: "rc-facts" }, ...FACTS.filter(([name]) => row[name] != null).map(
      ([name, label]) => {
        const value = row[name];
        const text = typeof value === "number" ? String(Number(value.toPrecision(4))) : value;
        return h("div", {}, h("dt", {}, label), h("dd", {}, h("bdi", {}, text)));
      }));
  }

  /** Return the page of a run. */
  runcast.explorerRun = async function ({ board, data, runs, row, context }) {
    const { tasks, signals } = data.description;
    const query = context.query || new URLSearchParams();
    const update = context.update || (() => undefined);
    const named = tasks.find((task) => task.name === query.get("task"));
    const usual = tasks.find((task) => task.name === "final-acc/w20") || tasks[0];
    const signal = signals.find((one) => one.name === query.get("signal"));
    const state = {
      task: named || usual, signal: signal ? signal.name : FIRST,
      logX: false, logY: false, twins: true,
    };
    const asked = h("p", { class: "rc-note" }, state.task.question);
    const forecasts = h("div", { class: "rc-figure" });
    let turn = 0;
    async function forecast() {
      const mine = ++turn;
      asked.textContent = state.task.question;
      try {
        const shown = await runcast.explorerForecasts({ board, data, row, task: state.task });
        if (mine === turn) forecasts.replaceChildren(...shown);
      } catch (error) {
        if (mine !== turn) return;
        forecasts.replaceChildren(h("p", { class: "rc-message", role: "alert" }, error.message));
      }
    }
    const [curve] = await Promise.all([
      curveCard({ data, runs, row, state, update }), forecast(),
    ]);
    const task = choice("Task", "task", tasks.map(({ name }) => [name, name]), state.task.name,
      (value) => {
        state.task = tasks.find((one) => one.name === value);
        update({ task: value });
        curve.read();
        forecast();
      });
    return h("section", { class: "rc-view rc-one" },
      h("p", {}, h("a", { href: `#/${encodeURIComponent(board.name)}/runs` }, "All runs")),
      h("h1", { tabindex: "-1", class: "rc-title" }, "Run ", h("bdi", {}, row.run_id)),
      facts(row),
      h("div", { class: "rc-controls" }, task),
      asked, curve.card,
      h("section", { class: "rc-card", "aria-labelledby": "rc-forecasts" },
        h("h2", { id: "rc-forecasts" }, "Forecasts"), forecasts));
  };
})();
