// Texts and their predictions: a list that fills as answers come, each with its words and a correction.

import { correctionForm } from "./correcting.js";
import { explain } from "./explaining.js";
import { post, showProblem, told } from "./server.js";
import { bar, counted, cut, either, element, labelled, named, percent, visible } from "./shown.js";

const MAX_TEXTS = 1000; // on the page; a file takes any number
const TEXTS_AT_ONCE = 32;
const CHARACTERS_AT_ONCE = 100_000;
const SHOWN_CHARACTERS = 1000; // of a text, before a person asks for all
const OTHERS = 2; // labels beside the first that are told

const at = (id) => document.getElementById(id);
let running = null; // what stops the requests of the texts
let onNewVersion = () => {};

/** Return the texts that stand in the field. */
export const textsGiven = () => {
  const whole = at("text").value;
  const isOne = document.querySelector("input[name=split]:checked").value === "whole";
  return (isOne ? [whole] : whole.split(/\r\n|[\n\r]/)).filter((text) => text.trim());
};

/** Return the coverage that is asked for; null where a label is always named. */
export const coverageGiven = (model) => (model.can_abstain && at("coverage").value ? Number(at("coverage").value) : null);

/** Let the form predict with the model that is chosen; a refreshed run answers with another version. */
export const preparePredicting = (chosen, whenVersionChanges) => {
  onNewVersion = whenVersionChanges;
  at("texts").addEventListener("submit", (event) => { event.preventDefault(); start(chosen()); });
  at("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); start(chosen()); }
  });
  at("stop").addEventListener("click", () => running?.abort());
};

const start = (model) => {
  at("problem").replaceChildren();
  if (!model) return showProblem(at("problem"), new Error("The server has not named its models yet. Wait a moment, or load the page again."));
  const texts = textsGiven();
  const refused = !texts.length
    ? "There is no text. Type or paste one first."
    : texts.length > MAX_TEXTS
      ? `These are ${counted(texts.length, "text")}; the page takes ${counted(MAX_TEXTS, "text")} at once. Put them into a file and give it below.`
      : "";
  if (refused) {
    showProblem(at("problem"), new Error(refused));
    return at("text").focus();
  }
  running?.abort();
  at("results").replaceChildren();
  return predictAll({ model, texts, coverage: coverageGiven(model), found: [] });
};

const predictAll = async (task) => {
  const stopping = new AbortController();
  running = stopping;
  setBusy(true);
  try {
    while (task.found.length < task.texts.length && running === stopping) await predictSome(task, stopping);
    if (running === stopping) at("status").textContent = `${summary(task)}.`;
  } catch (error) {
    if (running === stopping) tellFailure(task, told(error));
  } finally {
    if (running === stopping) { running = null; setBusy(false); }
  }
};

const predictSome = async (task, stopping) => {
  const { model, texts, coverage, found } = task;
  const some = [texts[found.length]];
  let characters = some[0].length;
  for (const text of texts.slice(found.length + 1, found.length + TEXTS_AT_ONCE)) {
    characters += text.length;
    if (characters > CHARACTERS_AT_ONCE) break;
    some.push(text);
  }
  if (texts.length > some.length) at("status").textContent = `${found.length.toLocaleString("en")} of ${counted(texts.length, "text")} …`;
  else at("status").textContent = "Predicting …";
  const asked = { model: model.name, texts: some, probabilities: true, ...(coverage === null ? {} : { coverage }) };
  const answer = await post("predict", asked, { signal: stopping.signal });
  if (running !== stopping) return;
  if (answer.version !== model.version) onNewVersion(); // the run was refreshed
  answer.predictions.forEach((prediction, place) => {
    at("results").append(result({ model, text: some[place], prediction, number: found.length + 1 }));
    found.push(prediction);
  });
};

const tellFailure = (task, error) => {
  const done = task.found.length;
  at("status").textContent = done ? `${summary(task)}. ${counted(task.texts.length - done, "text")} left.` : "";
  if (error.name === "AbortError") at("status").textContent = `Stopped. ${done ? `${summary(task)}.` : ""}`;
  else showProblem(at("problem"), error, () => predictAll(task));
};

const setBusy = (busy) => {
  at("stop").hidden = !busy;
};

const isUnsure = (prediction) => prediction.label === null && !prediction.labels;

const summary = ({ found }) => {
  const counts = new Map();
  for (const one of found) {
    const name = isUnsure(one) ? "not sure" : one.labels ? one.labels.map(named).join(" and ") || "no label" : named(one.label);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const parts = [...counts].sort((one, other) => other[1] - one[1]).slice(0, 6).map(([name, count]) => `${count} ${name}`);
  return `${counted(found.length, "text")} predicted: ${parts.join(", ")}${counts.size > 6 ? " and others" : ""}`;
};

const result = ({ model, text, prediction, number }) => {
  const item = element("li", { className: "result" });
  item.append(...answerLines(prediction), said(text));
  const actions = element("div", { className: "actions" });
  const why = element("div", { className: "why", id: `why-${number}`, hidden: "" });
  const more = [why];
  actions.append(whyButton({ model, text, number, why }));
  if (model.corrections) {
    const mend = element("div", { className: "mend", id: `mend-${number}`, hidden: "" });
    actions.append(mendButton({ model, text, prediction, number, mend }));
    more.push(mend);
  }
  item.append(actions, ...more);
  return item;
};

const answerLines = (prediction) => {
  const ordered = Object.entries(prediction.probabilities ?? {}).sort((one, other) => other[1] - one[1]);
  const shares = new Map(ordered);
  if (prediction.labels) {
    const given = prediction.labels.map((label) => answer(label, shares.get(label), "answer several"));
    return given.length ? given : [unsure("No label applies.")];
  }
  if (isUnsure(prediction)) {
    const why = prediction.unknown
      ? "looks like none of the known texts"
      : `${either((prediction.set ?? ordered.slice(0, 2).map(([label]) => label)).map(named))}`;
    return [unsure(`Not sure: ${why}.`), ...others(ordered, prediction.unknown ? "It would say" : "Probabilities")];
  }
  const rest = ordered.filter(([label]) => label !== prediction.label);
  return [answer(prediction.label, shares.get(prediction.label), "answer"), ...others(rest.length > 1 ? rest : [], "Next")];
};

const answer = (label, share, className) => {
  const line = element("p", { className }, labelled(label, "name"));
  if (share !== undefined) line.append(bar(share), element("span", { className: "number", text: percent(share) }));
  return line;
};

const unsure = (sentence) => element("p", { className: "answer unsure" }, element("bdi", { className: "name", text: sentence }));

const others = (ordered, title) => {
  if (!ordered.length) return [];
  const some = ordered.slice(0, OTHERS).map(([label, share]) => `${named(label)} ${percent(share)}`);
  return [element("p", { className: "small" }, element("bdi", { text: `${title}: ${some.join(", ")}.` }))];
};

const said = (text) => {
  const shown = element("p", { className: "said", dir: "auto", text: visible(cut(text, SHOWN_CHARACTERS)) });
  if (Array.from(text).length <= SHOWN_CHARACTERS) return shown;
  const whole = element("button", { type: "button", className: "plain", text: "Show the whole text" });
  whole.addEventListener("click", () => {
    shown.textContent = visible(text);
    shown.classList.add("long");
    shown.tabIndex = 0;
    shown.setAttribute("role", "group");
    shown.setAttribute("aria-label", "The whole text");
    whole.remove();
    shown.focus();
  });
  return element("div", {}, shown, whole);
};

const opener = (text, number, box) => {
  const button = element("button", { type: "button", className: "plain", "aria-expanded": "false", "aria-controls": box.id, text });
  button.append(element("span", { className: "hidden", text: ` Text ${number}` }));
  const close = () => { box.hidden = true; button.setAttribute("aria-expanded", "false"); button.focus(); };
  const open = () => { box.hidden = false; button.setAttribute("aria-expanded", "true"); };
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  return { button, open, close };
};

const whyButton = ({ model, text, number, why }) => {
  const { button, open, close } = opener("Which words decided?", number, why);
  why.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    if (!why.hidden) return close();
    open();
    if (why.dataset.done) return undefined;
    why.replaceChildren(element("p", { className: "small", text: "Asking which words decided …" }));
    try {
      await explain(why, { model, text });
      why.dataset.done = "yes";
    } catch (error) {
      why.replaceChildren(element("p", { text: told(error).message }));
    }
    return undefined;
  });
  return button;
};

const mendButton = ({ model, text, prediction, number, mend }) => {
  const { button, open, close } = opener("Correct the label", number, mend);
  const state = element("p", { className: "status", role: "status" });
  const predicted = prediction.labels ?? prediction.label;
  const done = (answer) => {
    state.replaceChildren(element("span", { className: "keep", text: "Saved. " }), answer.message);
    form.remove();
    state.tabIndex = -1;
    state.focus();
  };
  const failed = (error) => { state.textContent = told(error).message; };
  const { form, focus } = correctionForm({ model, text, predicted, number, done, failed });
  mend.append(form, state);
  button.addEventListener("click", () => {
    if (!mend.hidden) return close();
    open();
    return form.isConnected ? focus() : state.focus();
  });
  return button;
};
