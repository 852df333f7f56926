// Elements from data: text as text, and only attributes that cannot run anything.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SAFE = new Set([
    "id", "class", "title", "role", "scope", "tabindex", "type", "name", "value", "for",
    "checked", "disabled", "hidden", "open", "colspan", "rowspan", "datetime", "rel",
    "download", "lang", "dir", "placeholder", "autocomplete", "spellcheck",
    "viewBox", "preserveAspectRatio", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r",
    "rx", "width", "height", "d", "points", "transform", "focusable",
  ]);
  const isSafe = (name) =>
    SAFE.has(name) || name.startsWith("aria-") || name.startsWith("data-");
  // Our own routes and files only; foreign addresses go through runcast.outside.
  const isOurs = (address) => /^(#|(data|downloads|js|vendor)\/)/.test(address);

  const give = (element, name, value) => {
    if (value === null || value === undefined || value === false) return;
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) {
        element.addEventListener(event, act);
      }
    } else if (name === "href" && isOurs(value)) {
      element.setAttribute("href", value);
    } else if (isSafe(name)) {
      element.setAttribute(name, value === true ? "" : value);
    } else {
      throw new Error(`attribute ${name} is not one that the page sets`);
    }
  };

  const build = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      give(element, name, value);
    }
    for (const child of children.flat(Infinity)) {
      if (child !== null && child !== undefined) element.append(child);
    }
    return element;
  };

  /** h("td", {class: "number"}, "0.4"): an HTML element; children may be text. */
  runcast.h = (tag, attributes, ...children) =>
    build(document.createElement(tag), attributes, children);

  /** The same for SVG. */
  runcast.svg = (tag, attributes, ...children) =>
    build(document.createElementNS(SVG, tag), attributes, children);

  /** Foreign text, kept from turning the direction of the text around it. */
  runcast.foreign = (text, className) => runcast.h("bdi", { class: className }, text);

  /** Text for screen readers only. */
  runcast.spoken = (text) => runcast.h("span", { class: "spoken" }, text);

  /** A foreign https address with its host in view; any other stays text. */
  runcast.outside = (address) => {
    const url = URL.canParse(address) ? new URL(address) : null;
    if (url?.protocol !== "https:" || url.username || url.password) {
      return runcast.foreign(address, "long");
    }
    const link = runcast.h("a", { rel: "nofollow noopener noreferrer" }, url.host);
    link.setAttribute("href", url.href);
    return link;
  };

  /** What the live region tells screen readers. */
  runcast.tell = (text) => {
    document.getElementById("told").textContent = text;
  };
})();
