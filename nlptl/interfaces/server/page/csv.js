// Rows of CSV counted as they come, in the form in which the server writes it.

/** Reads CSV in pieces, and keeps one column of each row. */
export class CsvColumn {
  #delimiter; #wanted; #onRow;
  #column = 0; #cell = ""; #quoted = false; #afterQuote = false;

  /** `onRow` gets the cell of the column `wanted`, counted from 0, of each row. */
  constructor(delimiter, wanted, onRow) {
    this.#delimiter = delimiter;
    this.#wanted = wanted;
    this.#onRow = onRow;
  }

  read(text) {
    for (const sign of text) {
      if (sign === '"') this.#quote();
      else {
        this.#afterQuote = false;
        if (this.#quoted) this.#keep(sign);
        else if (sign === this.#delimiter) this.#column += 1;
        else if (sign === "\n") this.#endRow();
        else this.#keep(sign);
      }
    }
  }

  #quote() {
    if (this.#quoted) { this.#quoted = false; this.#afterQuote = true; return; }
    if (this.#afterQuote) this.#keep('"'); // two quotes are one
    this.#quoted = true;
    this.#afterQuote = false;
  }

  #keep(sign) {
    if (this.#column === this.#wanted) this.#cell += sign;
  }

  #endRow() {
    this.#onRow(this.#cell);
    this.#column = 0;
    this.#cell = "";
  }
}
