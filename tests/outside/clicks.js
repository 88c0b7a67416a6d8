"use strict";
// Runs at the end of a report: uses the page as a reader does, and leaves what it saw in the document, as JSON.
(async () => {
  const seen = { errors: [], tables: [] };
  window.addEventListener("error", (event) => seen.errors.push(String(event.message)));
  await new Promise((done) => setTimeout(done, 100));
  const pause = () => new Promise((done) => setTimeout(done, 20));
  const cells = (box) =>
    [...box.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.title)).filter((row) => row.length > 1);

  // What is wider than the page and does not scroll by itself.
  const width = document.documentElement.clientWidth, page = document.documentElement.getBoundingClientRect().width;
  const scrolls = (element) => element.closest(".scroll, pre, svg") !== null;
  seen.width = page;
  seen.wide = [...document.body.querySelectorAll("*")]
    .filter((element) => !scrolls(element) && element.getBoundingClientRect().right > Math.min(width, page) + 1)
    .map((element) => element.tagName + "." + element.className + ": " + element.textContent.slice(0, 60));
  seen.charts = [...document.querySelectorAll("figure")].map((figure) => {
    const svg = [...figure.querySelectorAll("svg")].find((one) => one.getBoundingClientRect().width > 0), size = svg.getBoundingClientRect(), words = figure.querySelector("output");
    // What an arrow key and the pointer at the last point say.
    const [spots, narrow] = JSON.parse(figure.querySelector(".spots").textContent);
    const [x, y] = (svg.matches(".narrow") ? narrow : spots).at(-1);
    svg.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    const first = words.textContent, scale = size.width / svg.viewBox.baseVal.width;
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX: size.left + x * scale, clientY: size.top + y * scale }));
    const told = { first, pointed: words.textContent, spots: spots.map((spot) => spot[2]) };
    svg.dispatchEvent(new PointerEvent("pointerleave"));
    const buttons = figure.querySelectorAll("button").length;
    return { name: figure.id, width: size.width, height: size.height, buttons, left: words.textContent, ...told };
  });
  seen.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
  for (const box of document.querySelectorAll("[data-table]")) {
    const table = { columns: [...box.querySelectorAll("th")].map((cell) => cell.textContent), rows: cells(box), sorted: {} };
    for (const [index, name] of table.columns.entries()) {
      const button = box.querySelectorAll("th button")[index];
      table.sorted[name] = [];
      for (const _ of [1, 2]) {
        button.click();
        await pause();
        table.sorted[name].push(cells(box).map((row) => row[index]));
      }
    }
    const input = box.querySelector("input");
    input.value = "init 0.5";
    input.dispatchEvent(new Event("input"));
    await pause();
    table.filtered = cells(box);
    table.count = box.querySelector(".count").textContent;
    input.value = "";
    input.dispatchEvent(new Event("input"));
    seen.tables.push(table);
  }
  // Every kind of file can be made; the last click of a picture ends after a while.
  for (const button of document.querySelectorAll("figure button")) button.click();
  await new Promise((done) => setTimeout(done, 300));
  const element = document.createElement("script");
  element.type = "application/json";
  element.id = "seen";
  element.textContent = JSON.stringify(seen);
  document.body.append(element);
})();
