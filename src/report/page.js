"use strict";
// Draws the rows of a table that can be seen, and sorts and filters all of them.
for (const box of document.querySelectorAll("[data-table]")) {
  const { columns, rows } = JSON.parse(document.getElementById("table-" + box.dataset.table).textContent);
  const [head, body] = [box.querySelector("thead tr"), box.querySelector("tbody")];
  const [scroll, input, count] = [box.querySelector(".scroll"), box.querySelector("input"), box.querySelector(".count")];
  const height = 29, margin = 20;
  let shown = rows, sorted = -1, direction = 1;

  const number = (text) => (text === "" ? NaN : Number(text));
  const rounded = (text) => (/^-?\d+\.\d{5,}/.test(text) ? String(Number(Number(text).toPrecision(5))) : text);

  function draw() {
    const first = Math.max(0, Math.floor(scroll.scrollTop / height) - margin);
    const last = Math.min(shown.length, first + Math.ceil(scroll.clientHeight / height) + 2 * margin);
    body.replaceChildren();
    spacer(first);
    for (const row of shown.slice(first, last)) {
      const line = body.insertRow();
      for (const text of row) {
        const cell = line.insertCell();
        cell.textContent = rounded(text);
        cell.title = text;
      }
    }
    spacer(shown.length - last);
    count.textContent = shown.length + " of " + rows.length + " rows";
  }

  function spacer(missing) {
    if (missing > 0) {
      const cell = body.insertRow().insertCell();
      cell.className = "spacer";
      cell.colSpan = columns.length;
      cell.style.height = missing * height + "px";
    }
  }

  // Numbers by size and before texts; empty cells last, whatever the direction.
  function compare(one, other) {
    const [a, b] = [one[sorted], other[sorted]];
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [number(a), number(b)];
    if (!isNaN(x) && !isNaN(y)) return direction * (x - y);
    if (!isNaN(x) || !isNaN(y)) return isNaN(x) - isNaN(y);
    return direction * a.localeCompare(b);
  }

  function update() {
    const words = input.value.toLowerCase().split(/\s+/).filter((word) => word);
    shown = rows.filter((row) => {
      const text = row.join("\t").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (sorted >= 0) shown.sort(compare);
    scroll.scrollTop = 0;
    draw();
  }

  columns.forEach((name, index) => {
    const cell = document.createElement("th");
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("click", () => {
      direction = sorted === index ? -direction : 1;
      sorted = index;
      for (const other of head.children) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      update();
    });
    cell.append(button);
    head.append(cell);
  });
  input.addEventListener("input", update);
  scroll.addEventListener("scroll", draw);
  window.addEventListener("resize", draw);
  draw();
}
