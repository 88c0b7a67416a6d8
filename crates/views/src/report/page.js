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
  function svg() {
    const copy = figure.querySelector("svg.wide").cloneNode(true);
    copy.querySelector(".here")?.remove();
    return new XMLSerializer().serializeToString(copy).replaceAll("currentColor", "black");
  }

  function save(kind, type, content) {
    const link = document.createElement("a");
    link.download = figure.id + "." + kind;
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function picture() {
    const image = new Image(), size = figure.querySelector("svg.wide").viewBox.baseVal, scale = 3;
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

  const data = figure.querySelector(".spots");
  if (data) {
    const [spots, narrow] = JSON.parse(data.textContent);
    readout(figure, figure.querySelector("svg.wide"), spots);
    readout(figure, figure.querySelector("svg.narrow"), narrow.map(([x, y], index) => [x, y, spots[index][2]]));
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

// The point that the pointer, or an arrow key, is at: what it is stands below the picture.
function readout(figure, svg, spots) {
  const words = figure.querySelector("output"), reach = 60;
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  for (const [name, value] of Object.entries({ r: 8, fill: "none", stroke: "currentColor", "stroke-width": 2, class: "here" })) ring.setAttribute(name, value);
  let at = -1;

  function show(index) {
    at = index;
    if (index < 0) {
      ring.remove();
      words.textContent = "";
      return;
    }
    const [x, y, text] = spots[index];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    svg.append(ring);
    words.textContent = text;
  }

  function nearest(event) {
    const box = svg.getBoundingClientRect(), size = svg.viewBox.baseVal;
    const x = ((event.clientX - box.left) * size.width) / box.width, y = ((event.clientY - box.top) * size.height) / box.height;
    let best = -1, least = reach * reach;
    for (const [index, [ownX, ownY]] of spots.entries()) {
      const distance = (x - ownX) ** 2 + (y - ownY) ** 2;
      if (distance < least) [best, least] = [index, distance];
    }
    return best;
  }

  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("pointermove", (event) => show(nearest(event)));
  svg.addEventListener("pointerdown", (event) => show(nearest(event)));
  svg.addEventListener("pointerleave", () => document.activeElement !== svg && show(-1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(-1);
    else if (event.key in steps) show((Math.max(at, steps[event.key] < 0 ? 0 : -1) + steps[event.key] + spots.length) % spots.length);
    else return;
    event.preventDefault();
  });
}
