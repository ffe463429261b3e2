// Calls of the server, and what went wrong as sentences.

let key = "";
let onKeyWanted = () => {};

/** Keep an API key in memory; nothing writes it anywhere. */
export const useKey = (value) => { key = value; };
export const hasKey = () => key !== "";
/** Set what is done when the server asks for a key. */
export const whenKeyIsWanted = (act) => { onKeyWanted = act; };

/** What went wrong, as a sentence for a person. */
export class Problem extends Error {
  constructor(message, { status = 0, wait = 0 } = {}) {
    super(message);
    this.status = status;
    this.wait = wait; // seconds after which the server has time again
  }
}

/** Call the server and return its response. Raises Problem; an abort passes as it is. */
export const call = async (path, { headers = {}, ...options } = {}) => {
  const sent = key ? { ...headers, Authorization: `Bearer ${key}` } : headers;
  let response;
  try {
    response = await fetch(path, { ...options, headers: sent, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    throw told(error);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
};

/** Post JSON and return the JSON that comes back. */
export const post = async (path, content, options = {}) => {
  const response = await call(path, {
    method: "POST", body: JSON.stringify(content), headers: { "Content-Type": "application/json" }, ...options,
  });
  return response.json();
};

/** Return an error as a Problem, unless the person stopped the call. */
export const told = (error) => {
  if (error.name === "AbortError" || error instanceof Problem) return error;
  return new Problem("The server does not answer. It may have stopped, or the network is down. Your texts are still here: try again.");
};

const problemOf = async (response) => {
  const wait = Math.ceil(Number(response.headers.get("Retry-After")) || 0);
  const said = await messageOf(response);
  if (response.status === 401 || response.status === 403) onKeyWanted();
  return new Problem(sentence(response.status, said, wait), { status: response.status, wait });
};

const messageOf = async (response) => {
  try {
    const content = await response.json();
    return typeof content.error?.message === "string" ? content.error.message : "";
  } catch {
    return "";
  }
};

const sentence = (status, said, wait) => {
  if (status === 429) return `The server is busy. Try again in ${Math.max(1, wait)} second${wait > 1 ? "s" : ""}.`;
  if (status === 401) return hasKey() ? "The server does not know this API key. Give another one." : "The server asks for an API key. Give it above.";
  if (said) return said;
  if (status === 413) return "This is more than the server takes at once. Give fewer or shorter texts, or a smaller file.";
  if (status === 503) return "The server is starting or stopping. Try again in a moment.";
  return `The server answered with an error (status ${status}). Try again, or look at its log.`;
};

/** Show a problem in a region that is read aloud, with a button that tries again. */
export const showProblem = (region, error, again) => {
  const line = document.createElement("p");
  line.textContent = error.message;
  if (again) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Try again";
    button.addEventListener("click", () => { region.replaceChildren(); again(); });
    line.append(document.createElement("br"), button);
  }
  region.replaceChildren(line);
};
