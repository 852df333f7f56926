// Routes in the address after #: #/<board>/<kind>/<rest>?<query>, so that every view
// and every state of its filters is a link.
"use strict";

(() => {
  /** The parts of an address, or null where it cannot be one of ours. */
  const parse = (hash) => {
    const [path, query = ""] = split(hash.replace(/^#\/?/, ""));
    try {
      const parts = path.split("/").map(decodeURIComponent);
      return { path, parts, query: new URLSearchParams(query) };
    } catch (error) {
      if (error instanceof URIError) return null; // a stray %
      throw error;
    }
  };

  const split = (address) => {
    const at = address.indexOf("?");
    return at < 0 ? [address] : [address.slice(0, at), address.slice(at + 1)];
  };

  /**
   * What an address asks for: {view, board, rest, path, query}; `view` is null where
   * there is no such page. `rest` is what follows the kind: a task, name or run.
   */
  runcast.resolve = (hash, site) => {
    const asked = parse(hash);
    if (asked === null) return { view: null, path: hash, query: new URLSearchParams() };
    const [first, kind = "", ...rest] = asked.parts;
    const found = { path: asked.path, query: asked.query, rest: rest.join("/") };
    if (asked.parts.length === 1 && ["submit", "downloads"].includes(first)) {
      return { ...found, view: first, board: null };
    }
    const name = first === "" ? site.boards[0].name : first;
    const board = site.boards.find((one) => one.name === name);
    const views = {
      "": "overall",
      tasks: "tasks",
      task: "task",
      predictor: "predictor",
      pairs: "pairs",
      cost: "cost",
      runs: "explorer",
    };
    const view = board && Object.hasOwn(views, kind) ? views[kind] : null;
    return { ...found, view, board: board?.name ?? null };
  };

  /** Change the query of the address; null takes a key away. No new entry in history. */
  runcast.changeQuery = (query, changes) => {
    for (const [key, value] of Object.entries(changes)) {
      if (value === null || value === "") query.delete(key);
      else query.set(key, value);
    }
    const path = location.hash.split("?")[0] || "#/";
    const text = query.toString();
    history.replaceState(history.state, "", text ? `${path}?${text}` : path);
  };
})();
