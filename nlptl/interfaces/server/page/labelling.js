// A file that comes back with labels: chosen or dropped, its first rows shown, then sent and received as a stream.

import { CsvColumn } from "./csv.js";
import { coverageGiven } from "./predicting.js";
import { call, showProblem, told } from "./server.js";
import { counted, cut, element, labelled, percent, visible } from "./shown.js";

const SEEN_BYTES = 256 * 1024; // of the file, from which the server reads header and first rows
const CELL = 120; // characters of a cell that is shown
const MAX_LABELS = 20; // rows of the summary

const at = (id) => document.getElementById(id);
const isTable = (name) => /\.(csv|tsv|txt)$/i.test(name);
let current = null; // the file, and how the server reads it
let running = null;
let address = ""; // of the result in memory

/** Let a file be chosen, dropped anywhere on the page, and labelled by the model that is chosen. */
export const prepareLabelling = (chosen) => {
  at("file").addEventListener("change", () => at("file").files[0] && take(at("file").files[0]));
  at("column").addEventListener("change", showPreview);
  at("file-form").addEventListener("submit", (event) => { event.preventDefault(); label(chosen()); });
  at("file-stop").addEventListener("click", () => running?.abort());
  window.addEventListener("dragover", (event) => { event.preventDefault(); at("drop").classList.add("over"); });
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").classList.remove("over"); });
  window.addEventListener("drop", (event) => { // anywhere: a browser would leave the page, and its texts, for the file
    event.preventDefault();
    at("drop").classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) take(file);
  });
};

const kindOf = (file) => (/\.tsv$/i.test(file.name) ? "text/tab-separated-values" : "text/csv");

const take = async (file) => {
  running?.abort();
  current = null;
  at("file-problem").replaceChildren();
  at("file-form").hidden = at("file-summary").hidden = true;
  at("file-status").textContent = "";
  if (!isTable(file.name)) {
    return refuse(`${visible(file.name)} is no CSV or TSV file. Save the table as CSV in your spreadsheet program, then give that file.`);
  }
  if (!file.size) return refuse(`${visible(file.name)} is empty. Give another file.`);
  at("file-status").textContent = "Reading the first rows …";
  try {
    const asked = new URLSearchParams({ whole: String(file.size <= SEEN_BYTES) });
    const response = await call(`predict-file/preview?${asked}`, {
      method: "POST", headers: { "Content-Type": kindOf(file) }, body: file.slice(0, SEEN_BYTES),
    });
    current = { file, seen: await response.json() };
    at("file-status").textContent = "";
    showFile();
  } catch (error) {
    at("file-status").textContent = "";
    showProblem(at("file-problem"), told(error), () => take(file));
  }
  return undefined;
};

const refuse = (sentence) => {
  at("file").value = "";
  showProblem(at("file-problem"), new Error(sentence));
};

const showFile = () => {
  const { file, seen } = current;
  at("file-name").replaceChildren(element("bdi", { text: visible(file.name) }), `, ${size(file.size)}`);
  at("column").replaceChildren(...seen.columns.map((name, place) =>
    element("option", { value: String(place + 1), text: cut(visible(seen.header && name.trim() ? name : `Column ${place + 1}`), 60) })));
  at("column").value = String(seen.text_column);
  at("file-remarks").textContent = seen.remarks.length ? `Read with ${seen.remarks.map(visible).join("; ")}.` : "";
  showPreview();
  at("file-form").hidden = false;
  at("column").focus();
};

const showPreview = () => {
  const { seen } = current;
  const chosen = Number(at("column").value) - 1;
  const row = (cells, kind) => element("tr", {}, ...cells.map((cell, place) => element(kind, {
    text: cut(visible(cell), CELL), className: place === chosen ? "chosen" : "", dir: "auto", ...(kind === "th" ? { scope: "col" } : {}),
  })));
  const head = seen.columns.map((name, place) => (seen.header ? name : `Column ${place + 1}`));
  at("preview").replaceChildren(
    element("caption", { text: "First rows" }),
    element("thead", {}, row(head, "th")),
    element("tbody", {}, ...seen.rows.map((cells) => row(cells, "td"))),
  );
};

const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3)).toLocaleString("en")} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

const label = async (model) => {
  if (!current || !model) return;
  running?.abort();
  const stopping = new AbortController();
  running = stopping;
  at("file-problem").replaceChildren();
  at("file-summary").hidden = true;
  at("file-stop").hidden = false;
  at("file-progress").hidden = false;
  at("file-progress").removeAttribute("value");
  at("file-status").textContent = "The server reads the file and checks its rows …";
  try {
    showSummary(await received(model, stopping), model);
  } catch (error) {
    if (running !== stopping) return;
    at("file-status").textContent = error.name === "AbortError" ? "Stopped. Nothing was kept." : "";
    if (error.name !== "AbortError") showProblem(at("file-problem"), told(error), () => label(model));
  } finally {
    if (running === stopping) {
      running = null;
      at("file-stop").hidden = at("file-progress").hidden = true;
    }
  }
};

const received = async (model, stopping) => {
  const { file, seen } = current;
  const coverage = coverageGiven(model);
  const asked = new URLSearchParams({
    model: model.name, column_number: at("column").value, header: String(seen.header), delimiter: seen.delimiter,
    bom: "true", empty_text: "empty", probabilities: String(at("with-probabilities").checked),
    ...(coverage === null ? {} : { coverage: String(coverage) }),
  });
  const response = await call(`predict-file?${asked}`, {
    method: "POST", headers: { "Content-Type": kindOf(file) }, body: file, signal: stopping.signal,
  });
  const total = Number(response.headers.get("X-Rows"));
  const counts = new Map();
  let rows = -1; // the header is no row
  const csv = new CsvColumn(seen.delimiter, Number(response.headers.get("X-Label-Column")), (cell) => {
    rows += 1;
    if (rows) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  });
  const decoder = new TextDecoder();
  const parts = [];
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    csv.read(decoder.decode(value, { stream: true }));
    at("file-progress").value = total ? Math.max(0, rows) / total : 1;
    at("file-status").textContent = `${Math.max(0, rows).toLocaleString("en")} of ${counted(total, "row")} …`;
  }
  if (rows !== total) throw new TypeError("cut short");
  return { parts, counts, rows, empty: Number(response.headers.get("X-Rows-Without-Text")), kind: kindOf(file) };
};

const showSummary = ({ parts, counts, rows, empty, kind }, model) => {
  const blob = new Blob(parts, { type: kind });
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(blob);
  const name = current.file.name.replace(/(\.[^.]*)?$/, (ending) => `-labelled${/\.tsv/i.test(ending) ? ending : ".csv"}`);
  const link = element("a", { href: address, download: name, text: `Download ${cut(visible(name), 60)}` });
  const withoutLabel = (counts.get("") ?? 0) - empty;
  const shown = [...counts].filter(([one]) => one !== "").sort((one, other) => other[1] - one[1]);
  const lines = shown.slice(0, MAX_LABELS).map(([one, count]) => line(labelled(one), count, rows));
  if (withoutLabel > 0) lines.push(line(`${model.multi_label ? "no label applies" : "not sure"}: the label is left empty`, withoutLabel, rows));
  if (empty > 0) lines.push(line("no text: the label is left empty", empty, rows));
  const more = shown.length > MAX_LABELS ? [element("p", { className: "small", text: `And ${shown.length - MAX_LABELS} other labels.` })] : [];
  const head = element("tr", {}, ...["Label", "Rows", "Share"].map((text) => element("th", { scope: "col", text, className: text === "Label" ? "" : "number" })));
  at("file-summary").replaceChildren(
    element("p", {}, link, ` (${size(blob.size)}).`),
    element("table", {}, element("caption", { text: "Labels of the file" }), element("thead", {}, head), element("tbody", {}, ...lines)),
    ...more,
    element("p", { className: "small", text: "Text that a spreadsheet would compute has a ' before it." }),
  );
  at("file-summary").hidden = false;
  at("file-status").textContent = `${counted(rows, "row")} done. The file is in your downloads.`;
  link.click();
};

const line = (name, count, rows) => element("tr", {},
  element("td", {}, name),
  element("td", { className: "number", text: count.toLocaleString("en") }),
  element("td", { className: "number", text: percent(count / rows) }));
