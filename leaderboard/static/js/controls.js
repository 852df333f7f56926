// Form controls of the views: choices, ticks and a field to find by text.
"use strict";

(() => {
  const { h } = runcast;

  const labelled = (control, label) =>
    h("label", { class: "choice" }, control, h("span", null, label));

  /** Radio buttons: options are [value, label]; chosen(value) hears of changes. */
  const radios = ({ legend, name, options, value, chosen }) => {
    const group = h("fieldset", null, h("legend", null, legend));
    for (const [option, label] of options) {
      const on = { change: () => chosen(option) };
      const checked = option === value;
      group.append(
        labelled(h("input", { type: "radio", name, value: option, checked, on }), label),
      );
    }
    return group;
  };

  /** Tick boxes: options are [value, label]; ticked(values) hears of changes. */
  const ticks = ({ legend, name, options, values, ticked }) => {
    const group = h("fieldset", null, h("legend", null, legend));
    const boxes = options.map(([option, label]) => {
      const change = () =>
        ticked(boxes.filter((box) => box.checked).map((box) => box.value));
      const attributes = { type: "checkbox", name, value: option, on: { change } };
      const box = h("input", { ...attributes, checked: values.includes(option) });
      group.append(labelled(box, label));
      return box;
    });
    return group;
  };

  /** A field that filters while one types. */
  const search = ({ label, value, typed }) => {
    const field = h("input", {
      type: "search",
      value,
      autocomplete: "off",
      spellcheck: "false",
      on: { input: () => typed(field.value) },
    });
    return h("label", { class: "search" }, h("span", null, label), field);
  };

  runcast.controls = { radios, ticks, search };
})();
