"use strict";
(() => {
  const root = document.documentElement;
  const button = document.querySelector(".theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // A page opened from a file may be refused its storage: then a theme lasts as long as the page.
  const remembered = () => { try { return localStorage.getItem("gnnkit-theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("gnnkit-theme", theme); } catch { /* as above */ } };
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const say = () => { button.textContent = shown() === "dark" ? "Light theme" : "Dark theme"; };

  if (["dark", "light"].includes(remembered())) root.dataset.theme = remembered();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
    say();
  });
  dark.addEventListener("change", say);
  say();

  const key = (row, column) => {
    const cell = row.children[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    const number = Number(text);
    return text !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const press = document.createElement("button");
      press.type = "button";
      press.append(...head.childNodes);
      if (press.textContent.trim() === "") press.setAttribute("aria-label", "name");
      head.append(press);
      press.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].sort((a, b) => compare(key(a, column), key(b, column)));
        body.append(...(falling ? rows.reverse() : rows));
      });
    });
  }
})();
