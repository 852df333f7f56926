// Shows what the address asks for: loads the data, builds the view, moves the focus.
"use strict";

(() => {
  const { h, format } = runcast;
  const TABS = [
    ["overall", "", "Ranking"],
    ["tasks", "/tasks", "Tasks"],
    ["pairs", "/pairs", "Pairs"],
    ["cost", "/cost", "Cost"],
    ["explorer", "/runs", "Runs"],
  ];
  const PARENT = { task: "tasks", predictor: "overall" };
  const ABSENT = {
    cost: "The plot of cost against skill is not part of this site.",
    explorer: "The explorer of runs is not part of this site.",
  };
  const scrolls = new Map();
  let visit = 0;
  let current = null;

  const tabs = (asked, site) => {
    const told = site.boards.find((board) => board.name === asked.board);
    const at = PARENT[asked.view] ?? asked.view;
    const links = TABS.filter(([view]) => view !== "explorer" || told.explorer).map(
      ([view, path, label]) => {
        const href = `#/${asked.board}${path}`;
        // The page itself, or the one that a task or a predictor belongs to.
        const here = view === at ? (view === asked.view ? "page" : "true") : null;
        return h("li", null, h("a", { href, "aria-current": here }, label));
      },
    );
    return h("nav", { class: "tabs", "aria-label": `Board ${asked.board}` }, h("ul", null, links));
  };

  const markSite = (asked) => {
    for (const link of document.querySelectorAll("#site a")) {
      const name = link.getAttribute("href").slice(2);
      const here = asked.board === null ? asked.view === name : asked.board === name;
      if (here) link.setAttribute("aria-current", asked.board === null ? "page" : "true");
      else link.removeAttribute("aria-current");
    }
  };

  const content = async (asked, site) => {
    if (asked.view === null) {
      return runcast.views.missing(`There is no page at #/${format.short(asked.path)}.`);
    }
    const view = runcast.views[asked.view];
    if (asked.board === null) return view();
    if (!view) return runcast.views.failed(ABSENT[asked.view]);
    const board = await runcast.loadBoard(asked.board);
    const update = (changes) => runcast.changeQuery(asked.query, changes);
    const run = asked.rest || null;
    return view(board, { site, rest: asked.rest, run, query: asked.query, update });
  };

  const draw = async (asked, site) => {
    try {
      return await content(asked, site);
    } catch (error) {
      console.error(error);
      return runcast.views.failed(error.message);
    }
  };

  /** Every page has one heading of the first order, also where a view brings none. */
  const titled = (element, asked) => {
    if (element.querySelector("h1")) return element;
    const [, , label] = TABS.find(([view]) => view === asked.view);
    return h("div", null, h("h1", { tabindex: "-1" }, `${label} of ${asked.board}`), element);
  };

  const remember = () => {
    if (current !== null) scrolls.set(current, window.scrollY);
  };

  /** A new page starts at its heading; one gone back to is where it was. */
  const settle = (main, isFirst) => {
    const state = history.state?.visit;
    const back = state !== undefined && scrolls.has(state);
    if (state === undefined) history.replaceState({ visit: visit }, "");
    current = history.state.visit;
    if (!isFirst) main.querySelector("h1").focus({ preventScroll: true });
    if (!isFirst) window.scrollTo(0, back ? scrolls.get(state) : 0);
  };

  const show = async (isFirst) => {
    const site = runcast.site();
    const asked = runcast.resolve(location.hash, site);
    const mine = ++visit;
    remember();
    const element = titled(await draw(asked, site), asked);
    if (mine !== visit) return; // the reader has gone on meanwhile
    const main = document.getElementById("main");
    main.replaceChildren(...(asked.board ? [tabs(asked, site)] : []), element);
    const heading = main.querySelector("h1");
    document.title = `${format.short(heading.textContent)} \u00b7 ${site.title}`;
    markSite(asked);
    if (!isFirst) runcast.tell("");
    settle(main, isFirst);
    main.dataset.view = asked.view ?? "missing";
  };

  history.scrollRestoration = "manual";
  runcast.keepPages();
  // The heading takes the focus from a link of the page; a link within stays in it.
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.querySelector("#main h1").focus();
  });
  window.addEventListener("hashchange", () => show(false));
  show(true);
})();
