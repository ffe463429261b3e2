"use strict";
(() => {
  const { texts, cells } = JSON.parse(document.getElementById("payload").textContent);
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const described = ([, label, predicted, percent, place]) => {
    const said = predicted ? `predicted ${predicted}${percent ? ` (${percent} %)` : ""}, label ${label}` : `learnt from, label ${label}`;
    return place ? `${said} · ${place}` : said;
  };
  const fill = (box, number) => {
    const text = element("div", "", texts[number][0]);
    text.dir = "auto";
    box.replaceChildren(text, element("span", "note", described(texts[number])));
  };

  // The confusion matrix: a cell opens its texts; arrow keys go from cell to cell.
  const opened = document.getElementById("opened");
  const buttons = [...document.querySelectorAll("button[data-cell]")];
  const open = (button) => {
    const wasOpen = button.getAttribute("aria-expanded") === "true";
    buttons.forEach((one) => one.setAttribute("aria-expanded", "false"));
    opened.hidden = wasOpen;
    if (wasOpen) return;
    button.setAttribute("aria-expanded", "true");
    const shown = cells[button.dataset.cell] || [];
    const count = Number(button.dataset.count);
    const more = count > shown.length ? ` The ${shown.length} surest are shown; predictions.csv holds all.` : "";
    const list = element("ul");
    list.tabIndex = 0;
    list.setAttribute("aria-label", "Texts of the cell");
    shown.forEach((number) => {
      const item = element("li");
      item.dir = "auto";
      item.textContent = texts[number][0];
      item.append(element("span", "note", described(texts[number])));
      list.append(item);
    });
    opened.replaceChildren(element("h3", "", `${button.getAttribute("aria-label")}.${more}`), list);
  };
  buttons.forEach((button) => button.addEventListener("click", () => open(button)));
  const matrix = document.getElementById("matrix");
  if (matrix) {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    matrix.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      const cell = event.target.closest("td");
      if (!step || !cell) return;
      event.preventDefault();
      let row = cell.parentNode.rowIndex, column = cell.cellIndex;
      do {
        row += step[0];
        column += step[1];
        const next = matrix.rows[row] && matrix.rows[row].cells[column];
        if (!next) return;
        const button = next.querySelector("button");
        if (button) return button.focus();
      } while (true);
    });
  }

  // The map: the nearest text under the pointer, or from text to text by arrow keys.
  const map = document.getElementById("chart-map");
  if (map) {
    const box = document.getElementById("map-text");
    const svg = map.querySelector("svg");
    const cursor = svg.querySelector(".cursor");
    const points = [...svg.querySelectorAll("[data-t]")].map((circle) => ({
      circle, x: parseFloat(circle.getAttribute("cx")), y: parseFloat(circle.getAttribute("cy")), dim: false,
    }));
    let chosen = null;
    const choose = (point) => {
      if (!point || point === chosen) return;
      chosen = point;
      cursor.setAttribute("cx", `${point.x}%`);
      cursor.setAttribute("cy", `${point.y}%`);
      fill(box, Number(point.circle.dataset.t));
    };
    const nearest = (x, y, size, accept) => {
      let best = null, least = Infinity;
      for (const point of points) {
        if (point.dim || !accept(point)) continue;
        const apart = ((point.x - x) * size.width) ** 2 + ((point.y - y) * size.height) ** 2;
        if (apart < least) [best, least] = [point, apart];
      }
      return best;
    };
    const pick = (event) => {
      const size = svg.getBoundingClientRect();
      choose(nearest(100 * (event.clientX - size.left) / size.width, 100 * (event.clientY - size.top) / size.height, size, () => true));
    };
    map.addEventListener("pointermove", pick);
    map.addEventListener("pointerdown", pick);
    const ahead = {
      ArrowRight: (p) => p.x - chosen.x > Math.abs(p.y - chosen.y), ArrowLeft: (p) => chosen.x - p.x > Math.abs(p.y - chosen.y),
      ArrowDown: (p) => p.y - chosen.y > Math.abs(p.x - chosen.x), ArrowUp: (p) => chosen.y - p.y > Math.abs(p.x - chosen.x),
    };
    const start = () => choose(nearest(50, 50, svg.getBoundingClientRect(), () => true));
    map.addEventListener("focus", () => chosen || start());
    map.addEventListener("keydown", (event) => {
      if (!ahead[event.key]) return;
      event.preventDefault();
      if (!chosen) return start();
      choose(nearest(chosen.x, chosen.y, svg.getBoundingClientRect(), (point) => point !== chosen && ahead[event.key](point)));
    });
    const labels = [...document.querySelectorAll(".legend button")];
    labels.forEach((button) => button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      labels.forEach((one) => one.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(!pressed));
      points.forEach((point) => {
        point.dim = !pressed && !point.circle.classList.contains(`k${button.dataset.colour}`);
        point.circle.classList.toggle("dim", point.dim);
      });
    }));
  }
})();
