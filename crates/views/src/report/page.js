"use strict";
// Draws the rows of a table that can be seen, and sorts and filters all of them.
for (const box of document.querySelectorAll("[data-table]")) {
  let { columns, rows } = JSON.parse(document.getElementById("table-" + box.dataset.table).textContent);
  const [head, body] = [box.querySelector("thead tr"), box.querySelector("tbody")];
  const [scroll, input, count] = [box.querySelector(".scroll"), box.querySelector("input[type=search]"), box.querySelector(".count")];
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

  function title(name, index) {
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
  }

  // Rows of a CSV file: cells in quotes may hold commas, line ends and doubled quotes.
  function parsed(text) {
    const cells = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g, all = [[]];
    for (const [found, quoted, plain, end] of text.matchAll(cells)) {
      if (found === "" && all.at(-1).length === 0) break;
      all.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
      if (end !== ",") all.push([]);
    }
    return all.filter((row) => row.length > 0);
  }

  // A table that is too large for the page, from the reader's disk.
  const file = box.querySelector("input[type=file]");
  if (file) {
    file.addEventListener("change", async () => {
      [columns, ...rows] = parsed(await file.files[0].text());
      [shown, sorted, direction] = [rows, -1, 1];
      head.replaceChildren();
      columns.forEach(title);
      update();
    });
  }

  columns.forEach(title);
  input.addEventListener("input", update);
  scroll.addEventListener("scroll", draw);
  window.addEventListener("resize", draw);
  draw();
}
// Each chart as a file: the picture, with dots or lines, and its numbers.
for (const figure of document.querySelectorAll("figure")) {
  const links = figure.appendChild(document.createElement("p"));
  links.className = "links";
  const svg = () => new XMLSerializer().serializeToString(figure.querySelector("svg")).replaceAll("currentColor", "black");

  function save(kind, type, content) {
    const link = document.createElement("a");
    link.download = figure.id + "." + kind;
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function picture() {
    const image = new Image(), size = figure.querySelector("svg").viewBox.baseVal, scale = 3;
    const address = URL.createObjectURL(new Blob([svg()], { type: "image/svg+xml" }));
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [size.width * scale, size.height * scale];
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#ffffff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(address);
      canvas.toBlob((blob) => save("png", "image/png", blob));
    };
    image.src = address;
  }

  const kinds = {
    SVG: () => save("svg", "image/svg+xml", svg()),
    PNG: picture,
    CSV: () => save("csv", "text/csv", figure.parentElement.querySelector("pre").textContent),
  };
  for (const [kind, act] of Object.entries(kinds)) {
    const button = links.appendChild(document.createElement("button"));
    button.textContent = kind;
    button.title = "Save as " + kind;
    button.addEventListener("click", act);
  }
}
