// The one namespace, and the data files of the site: loaded once, by script tags, so
// that the page works from a file too.
"use strict";

var runcast = { views: {} };

(() => {
  const known = new Map();

  /** Called by every data file; a second call replaces what was known. */
  runcast.data = (key, value) => known.set(key, value);

  /** The value of a key that an object holds itself; names are foreign text. */
  runcast.own = (object, key) => (Object.hasOwn(object, key) ? object[key] : null);

  const insert = (address) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => {
        script.remove();
        reject(new Error(`${address} could not be loaded. Is the site complete?`));
      });
      document.head.append(script);
    });

  const load = async (key, address) => {
    if (!known.has(key)) await insert(address);
    if (!known.has(key)) throw new Error(`${address} does not hold "${key}".`);
    return known.get(key);
  };

  // Board and task names come from the site's own lists, never from the address bar.
  runcast.site = () => known.get("site");
  runcast.loadBoard = (board) => load(`board/${board}`, `data/${board}/board.js`);
  runcast.loadPairs = (board) => load(`pairs/${board}`, `data/${board}/pairs.js`);
  runcast.loadTask = (board, task) =>
    load(`task/${board}/${task}`, `data/${board}/tasks/${task.replaceAll("/", "--")}.js`);
})();
