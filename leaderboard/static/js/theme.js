// Light, dark, or as the system says; before the first paint, and remembered where a
// page may remember. Runs in the head, before everything else.
"use strict";

(() => {
  const KEY = "runcast-theme";
  const THEMES = ["auto", "light", "dark"];

  // Storage is forbidden in some frames and private windows: then nothing is kept.
  const storage = (act) => {
    try {
      return act(window.localStorage);
    } catch {
      return null;
    }
  };

  const show = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };

  // Where scripts run, only the first rows of the written table are laid out: the same
  // table takes its place at once.
  document.documentElement.classList.add("scripted");

  const kept = storage((store) => store.getItem(KEY));
  let theme = THEMES.includes(kept) ? kept : "auto";
  show(theme);

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = `Theme: ${theme}`;
    };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      show(theme);
      storage((store) => store.setItem(KEY, theme));
      label();
    });
  });
})();
