// A table whose columns sort: rows are built once, and only change places.
"use strict";

(() => {
  const { h } = runcast;
  const TEXT = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const OTHER = { ascending: "descending", descending: "ascending" };

  // Rows that are laid out at once, more than a screen holds; then as many a frame.
  const AT_ONCE = 30;

  const compare = (one, other) =>
    typeof one === "string" ? TEXT.compare(one, other) : one - other;

  /** Order of rows by a column: nothing last either way, ties as they were given. */
  const ordered = (items, place, order) => {
    const sign = order === "ascending" ? 1 : -1;
    return [...items].sort((one, other) => {
      const [a, b] = [one.keys[place], other.keys[place]];
      if (a === null || b === null) {
        return (a === null) - (b === null) || one.index - other.index;
      }
      return sign * compare(a, b) || one.index - other.index;
    });
  };

  const nextFrame = (act) => requestAnimationFrame(() => setTimeout(act, 0));

  /** Returns what shows the first rows now and the others in the frames that follow. */
  const staggering = () => {
    let turn = 0;
    return (elements) => {
      const mine = ++turn;
      const waiting = elements.filter((element) => !element.hidden).slice(AT_ONCE);
      for (const element of elements) element.classList.remove("later");
      for (const element of waiting) element.classList.add("later");
      const more = () => {
        if (mine !== turn) return; // sorted again meanwhile
        for (const element of waiting.splice(0, AT_ONCE)) element.classList.remove("later");
        if (waiting.length) nextFrame(more);
      };
      if (waiting.length) nextFrame(more);
    };
  };

  const heading = (column, act) => {
    const attributes = { scope: "col", class: column.className, title: column.title };
    if (!column.sort) return h("th", attributes, column.label);
    const button = h("button", { type: "button", on: { click: act } }, column.label);
    return h("th", attributes, button);
  };

  const line = (columns, row) => {
    const cells = columns.map((column) => {
      const attributes = { class: column.className };
      if (column.tint) attributes.class += ` ${column.tint(row)}`;
      const content = [column.cell(row)].flat();
      return column.header
        ? h("th", { ...attributes, scope: "row" }, content)
        : h("td", attributes, content);
    });
    return h("tr", { class: columns.rowClass?.(row) }, cells);
  };

  /**
   * columns: {key, label, cell(row), sort(row), first, header, className, tint, title}.
   * sort, order: what it is sorted by at first; sorted(key, order) hears of changes.
   * Returns the scrolling box, and show(test): hides rows and returns how many are left.
   */
  runcast.table = ({ caption, columns, rows, sort, order, sorted }) => {
    const items = rows.map((row, index) => ({
      index,
      row,
      keys: columns.map((column) => column.sort?.(row) ?? null),
      element: line(columns, row),
    }));
    const headings = columns.map((column) =>
      heading(column, () => {
        const now = state.key === column.key ? OTHER[state.order] : column.first;
        apply(column.key, now ?? "ascending");
        box.scrollTop = 0;
        runcast.tell(`Sorted by ${column.spoken ?? column.label}, ${state.order}.`);
        sorted?.(state.key, state.order === column.first ? null : state.order);
      }),
    );
    const body = h("tbody", null, items.map((item) => item.element));
    const state = { key: null, order: null };
    const stagger = staggering();
    const apply = (key, direction) => {
      const place = columns.findIndex((column) => column.key === key);
      Object.assign(state, { key, order: direction });
      headings.forEach((cell, index) => {
        if (index === place) cell.setAttribute("aria-sort", direction);
        else cell.removeAttribute("aria-sort");
      });
      const elements = ordered(items, place, direction).map((item) => item.element);
      stagger(elements);
      body.append(...elements);
    };
    const start = columns.find((column) => column.key === sort && column.sort);
    stagger(items.map((item) => item.element));
    const given = Object.hasOwn(OTHER, order ?? "") ? order : null; // foreign text
    if (start) apply(sort, given ?? start.first ?? "ascending");
    const table = h(
      "table", null,
      h("caption", { class: "spoken" }, caption),
      h("thead", null, h("tr", null, headings)),
      body,
    );
    const attributes = { class: "scroll", role: "region", tabindex: "0" };
    const box = h("div", { ...attributes, "aria-label": caption }, table);
    const show = (test) => {
      let left = 0;
      for (const { row, element } of items) {
        element.hidden = !test(row);
        left += element.hidden ? 0 : 1;
      }
      return left;
    };
    return { element: box, show };
  };
})();
