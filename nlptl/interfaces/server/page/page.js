// The page of the server: its models and its key, and what the other modules do with them.

import { curlOf, prepareCopying, pythonOf } from "./code.js";
import { prepareLabelling } from "./labelling.js";
import { coverageGiven, preparePredicting, textsGiven } from "./predicting.js";
import { call, showProblem, told, useKey, whenKeyIsWanted } from "./server.js";
import { counted, cut, element, named, visible } from "./shown.js";

const SHOWN_LABELS = 12;
const at = (id) => document.getElementById(id);
let models = [];
let frame = 0;

const chosen = () => models.find((one) => one.name === at("model").value) ?? models[0];

const loadModels = async () => {
  at("model-problem").replaceChildren();
  try {
    models = await (await call("models")).json();
    at("key-form").hidden = true;
    showModels();
  } catch (error) {
    at("asking").textContent = "The models are not known yet.";
    showProblem(at("model-problem"), told(error), loadModels);
  }
};

const showModels = () => {
  const before = at("model").value;
  at("model").replaceChildren(...models.map((one) => element("option", { value: one.name, text: named(one.name) })));
  if (models.some((one) => one.name === before)) at("model").value = before;
  at("model").hidden = at("model-label").hidden = models.length < 2;
  showFacts();
  at("asking").hidden = true;
  at("model-block").hidden = at("main").hidden = false;
};

const showFacts = () => {
  const model = chosen();
  if (!model) {
    at("model-facts").textContent = "The server has no model.";
    return;
  }
  const more = model.labels.length > SHOWN_LABELS ? ` and ${model.labels.length - SHOWN_LABELS} more` : "";
  const labels = model.labels.slice(0, SHOWN_LABELS).map((one) => cut(named(one), 30)).join(", ");
  const name = models.length < 2 ? `${named(model.name)}: ` : "";
  const several = model.multi_label ? "; a text may have several, or none" : "";
  at("model-facts").replaceChildren(element("bdi", {
    text: `${name}${counted(model.labels.length, "label")}, ${labels}${more}${several}. Version ${cut(visible(model.version), 24)}.`,
  }));
  at("coverage-row").hidden = !model.can_abstain;
  showWhetherUnsure();
  showCode();
};

const showWhetherUnsure = () => { at("file-unsure").hidden = coverageGiven(chosen()) === null; };

const showCode = () => {
  const model = chosen();
  if (!model) return;
  const given = { model: model.name, texts: textsGiven() };
  at("curl").textContent = curlOf(given);
  at("python").textContent = pythonOf(given);
};

const askForKey = () => {
  if (!at("key-form").hidden) return;
  at("key-form").hidden = false;
  at("key").focus();
};

whenKeyIsWanted(askForKey);
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(at("key").value);
  loadModels();
});
at("model").addEventListener("change", showFacts);
at("texts").addEventListener("input", () => { // once for all events before the next frame
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(showCode);
});
at("coverage").addEventListener("change", () => models.length && showWhetherUnsure());
preparePredicting(chosen, loadModels);
prepareLabelling(chosen);
prepareCopying(at("copied"));
loadModels();
