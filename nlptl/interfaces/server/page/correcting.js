// A correction of a label, which the server collects in a file for the next training.

import { post } from "./server.js";
import { element, named } from "./shown.js";

let count = 0;

/** Return a form that corrects the label of a text; `done` is called with the server's answer. */
export const correctionForm = ({ model, text, predicted, number, done, failed }) => {
  const choice = model.multi_label ? checks(model, predicted) : select(model, predicted, number);
  const save = element("button", { type: "submit", text: "Save" });
  const form = element("form", {}, element("div", { className: "row" }, ...choice.parts, save));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    save.disabled = true;
    try {
      done(await post("corrections", { model: model.name, text, label: choice.value(), predicted }));
    } catch (error) {
      failed(error);
    } finally {
      save.disabled = false;
    }
  });
  return { form, focus: () => choice.first.focus() };
};

const select = (model, predicted, number) => {
  const id = `correct-${(count += 1)}`;
  const list = element("select", { id });
  for (const label of model.labels) list.append(element("option", { value: label, text: named(label) }));
  list.value = model.labels.find((label) => label !== predicted) ?? model.labels[0];
  const label = element("label", { for: id, text: `Right label of text ${number}` });
  return { parts: [label, list], first: list, value: () => list.value };
};

const checks = (model, predicted) => {
  const boxes = model.labels.map((label) => {
    const box = element("input", { type: "checkbox", value: label });
    box.checked = (predicted ?? []).includes(label);
    return box;
  });
  const lines = boxes.map((box) => element("label", { className: "check" }, box, element("bdi", { text: named(box.value) })));
  const group = element("fieldset", {}, element("legend", { text: "Labels that apply" }), ...lines);
  return { parts: [group], first: boxes[0], value: () => boxes.filter((box) => box.checked).map((box) => box.value) };
};
