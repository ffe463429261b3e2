// What the page shows: elements made of text alone, hidden characters written out, numbers in words.

const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
const MEANT = /[\n\t\u200c\u200d]/; // line ends, tabs, and what joins letters and parts of an emoji

const escape = (character) => {
  const point = character.codePointAt(0);
  if (point < 256) return `\\x${point.toString(16).padStart(2, "0")}`;
  return point < 65536 ? `\\u${point.toString(16).padStart(4, "0")}` : `\\U${point.toString(16).padStart(8, "0")}`;
};

/** Return a text in which every character shows: `\u202e` for a reversal. */
export const visible = (text) =>
  String(text).replace(/\r\n?/g, "\n").replace(HIDDEN, (one) => (MEANT.test(one) ? one : escape(one)));

/** Return a text of at most `most` characters. */
export const cut = (text, most) => {
  const characters = Array.from(text);
  return characters.length > most ? `${characters.slice(0, most - 1).join("").trimEnd()}…` : text;
};

/** Return the name of a label; one that shows nothing is said to be empty. */
export const named = (label) => (String(label).trim() ? cut(visible(label), 80) : "(empty)");

/** Return an element; `text` is only ever text. */
export const element = (name, { text, className, ...attributes } = {}, ...children) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

/** Return a label as an element whose direction turns nothing around it. */
export const labelled = (label, className = "") => element("bdi", { text: named(label), className });

/** Return a share in per cent, which never says more than it knows. */
export const percent = (share) => {
  if (share > 0.99 && share < 1) return "> 99 %";
  if (share < 0.01 && share > 0) return "< 1 %";
  return `${Math.round(100 * share)} %`;
};

/** Return "1 text" or "3 texts". */
export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

const MAX_NAMED = 6;

/** Return names as "a, b or c"; many are cut. */
export const either = (names) => {
  if (names.length > MAX_NAMED) return `${names.slice(0, MAX_NAMED - 1).join(", ")} or one of ${names.length - MAX_NAMED + 1} others`;
  const last = names.at(-1);
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} or ${last}` : String(last);
};

/** Return a signed number of two decimals. */
export const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;

/** Show a bar whose length is a share; its number stands beside it in words. */
export const bar = (share) => {
  const inner = element("span");
  inner.style.setProperty("--share", Math.max(0, Math.min(1, share)));
  return element("span", { className: "bar", "aria-hidden": "true" }, inner);
};
