// The words that decided: fetched when a person asks, coloured, underlined and signed.

import { post } from "./server.js";
import { element, labelled, named, signed, visible } from "./shown.js";

const STRONGEST = 5; // words for the label, and as many against it
const LEVELS = [0.15, 0.4, 0.75]; // shares of the strongest word from which on a word has a deeper colour
const MIN_SHOWN = 0.005;

/** Fill a box with the words that speak for the label of a text, and against it. */
export const explain = async (box, { model, text }) => {
  const found = await post("predict", { model: model.name, texts: [text], explain: true });
  const explanation = found.predictions[0].explanation;
  if (!explanation) throw new Error("no explanation");
  const words = explanation.words.toSorted((one, other) => one.start - other.start);
  const strongest = Math.max(0, ...words.map((word) => Math.abs(word.contribution)));
  box.replaceChildren(
    element("p", {}, "What speaks for ", labelled(explanation.label, "name"), " is underlined and has a +; what speaks against it is dashed and has a −."),
    marked(text, words, strongest),
    ...strongestWords(words),
    ...(explanation.remarks ?? []).map((remark) => element("p", { className: "small", text: visible(remark) })),
    element("p", { className: "small", text: method(explanation) }),
  );
};

const level = (contribution, strongest) =>
  Math.abs(contribution) < MIN_SHOWN ? 0 : LEVELS.filter((one) => Math.abs(contribution) >= one * strongest).length;

const marked = (text, words, strongest) => {
  const shown = element("p", { className: "words", dir: "auto", tabindex: "0", role: "group", "aria-label": "The text with its words marked" });
  const characters = Array.from(text); // places count characters, not UTF-16 units
  let end = 0;
  const plain = (from, to) => shown.append(visible(characters.slice(from, to).join("")));
  for (const word of words) {
    const deep = level(word.contribution, strongest);
    if (!deep || word.start < end || word.end > characters.length) continue;
    plain(end, word.start);
    const side = word.contribution > 0 ? "for" : "against";
    const mark = element("mark", { className: `${side} s${deep}`, text: visible(characters.slice(word.start, word.end).join("")) });
    mark.append(element("span", { className: "sign", text: word.contribution > 0 ? "+" : "−" }));
    mark.title = signed(word.contribution);
    shown.append(mark);
    end = word.end;
  }
  plain(end, characters.length);
  return shown;
};

const strongestWords = (words) => {
  const told = (title, some) => {
    if (!some.length) return [];
    const parts = some.flatMap((word, place) => [
      place ? ", " : "", element("bdi", { text: named(word.text) }), ` ${signed(word.contribution)}`,
    ]);
    return [element("p", {}, element("strong", { text: title }), " ", ...parts, ".")];
  };
  const shown = words.filter((word) => Math.abs(word.contribution) >= MIN_SHOWN);
  const ordered = shown.toSorted((one, other) => other.contribution - one.contribution);
  const parts = [
    ...told("For it:", ordered.filter((word) => word.contribution > 0).slice(0, STRONGEST)),
    ...told("Against it:", ordered.filter((word) => word.contribution < 0).reverse().slice(0, STRONGEST)),
  ];
  return parts.length ? parts : [element("p", { text: "No word changes the answer: the text says nothing that the classifier knows." })];
};

const method = (explanation) => {
  const error = Number(explanation.error) || 0;
  if (explanation.method === "exact") return "Method: exact. The words' numbers are their shares of the label's score and sum to it.";
  const off = error < 0.005 ? "the numbers sum to the score" : `together they miss the score by ${error.toFixed(2)}`;
  const worth = error >= 1 ? " Words that say the same, or need one another, make this error; read their order, not their sum." : "";
  return `Method: ${explanation.method}. The classifier read the text again without each word; ${off}.${worth}`;
};
