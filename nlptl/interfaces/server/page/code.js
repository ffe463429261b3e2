// The current request as a curl command and a Python program, quoted so that no text can end its quotes.

import { hasKey } from "./server.js";

const MAX_SHOWN = 2000; // characters of texts; longer ones make no example
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

const units = (text) => [...Array(text.length).keys()].map((place) => `\\u${text.charCodeAt(place).toString(16).padStart(4, "0")}`).join("");
const asJson = (value) => JSON.stringify(value).replace(UNSEEN, units);
const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const inPython = (text) => {
  const escaped = text.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  return `"${escaped.replace(UNSEEN, (one) => `\\U${one.codePointAt(0).toString(16).padStart(8, "0")}`)}"`;
};

const address = (path) => new URL(path, document.baseURI).href;

/** Return as many texts as an example holds. */
const asExample = (texts) => {
  const some = [];
  let characters = 0;
  for (const text of texts) {
    characters += text.length;
    if (characters > MAX_SHOWN) break;
    some.push(text);
  }
  return some.length ? some : ["A text to label."];
};

/** Return the request for some texts as a curl command. */
export const curlOf = ({ model, texts }) => {
  const body = asJson({ model, texts: asExample(texts), probabilities: true });
  const withKey = hasKey() ? ` \\\n  --header "Authorization: Bearer $NLPTL_API_KEY"` : "";
  return `curl ${inShell(address("predict"))} \\\n  --header 'Content-Type: application/json'${withKey} \\\n  --data ${inShell(body)}`;
};

/** Return the request for some texts as a Python program that needs no package. */
export const pythonOf = ({ model, texts }) => {
  const given = asExample(texts).map((text) => `    ${inPython(text)},\n`).join("");
  const withKey = hasKey() ? `\nheaders["Authorization"] = "Bearer " + os.environ["NLPTL_API_KEY"]` : "";
  return `import json${hasKey() ? "\nimport os" : ""}
import urllib.request

texts = [
${given}]
headers = {"Content-Type": "application/json"}${withKey}
body = json.dumps({"model": ${inPython(model)}, "texts": texts, "probabilities": True}).encode()
request = urllib.request.Request(${inPython(address("predict"))}, data=body, headers=headers)
with urllib.request.urlopen(request) as answer:
    for text, found in zip(texts, json.load(answer)["predictions"]):
        print(found["label"], text)`;
};

/** Let the copy buttons copy, where the browser permits it. */
export const prepareCopying = (state) => {
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", async () => {
      const code = document.getElementById(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(code.textContent);
        state.textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(code);
        state.textContent = "Selected. Press Ctrl + C to copy.";
      }
    });
  }
};
