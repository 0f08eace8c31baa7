// The list of codes.

import "./code-card.js";
import "./log-out.js";
import { Codes } from "./codes.js";
import { Search } from "./search.js";

const cards = [...document.querySelectorAll("code-card")];
new Codes(cards, { version: document.getElementById("cards")?.dataset.version });
if (cards.length > 0) {
	new Search();
}
// After adding or editing, the address names the account: it is where the keyboard goes on.
document.querySelector(":target button")?.focus();
