// Searching the list while typing.

// Search hides the cards of a list that do not hold every word that is typed.
export class Search {
	#field = document.getElementById("search");
	#items = [...document.querySelectorAll("#cards > li")].map((element) => ({ element }));

	constructor() {
		this.#field.addEventListener("input", () => this.#filter());
		this.#field.addEventListener("keydown", (event) => this.#key(event));
		document.addEventListener("keydown", (event) => this.#shortcut(event));
		document.getElementById("clear").addEventListener("click", () => this.#clear());
		this.#filter(); // the browser may have brought back what was typed before
	}

	get #shown() {
		return this.#items.filter(({ element }) => !element.hidden);
	}

	#filter() {
		const words = fold(this.#field.value).split(/\s+/u).filter(Boolean);
		for (const item of this.#items) {
			item.element.hidden = !words.every((word) => wordsOf(item).includes(word));
		}
		const count = this.#shown.length;
		document.getElementById("nothing").hidden = count > 0;
		document.getElementById("found").textContent = words.length === 0 ? "" : `${count} of ${this.#items.length} accounts`;
	}

	#clear() {
		this.#field.value = "";
		this.#filter();
		this.#field.focus();
	}

	#key(event) {
		switch (event.key) {
		case "Escape":
			this.#clear();
			break;
		case "Enter": // what is found first is what was meant
			this.#shown[0]?.element.querySelector("code-card").copy();
			break;
		case "ArrowDown":
			this.#shown[0]?.element.querySelector("button").focus();
			break;
		default:
			return;
		}
		event.preventDefault();
	}

	#shortcut(event) {
		const typing = event.target.closest("input, textarea, select, dialog");
		if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
			event.preventDefault();
			this.#field.focus();
			this.#field.select();
		}
	}
}

// wordsOf returns what a card can be found by. It is read when a user searches, not while the page loads.
function wordsOf(item) {
	const shown = (part) => item.element.querySelector(part)?.textContent ?? "";
	item.words ??= fold(`${shown(".card-title")} ${shown(".card-account")} ${item.element.dataset.note ?? ""}`);
	return item.words;
}

// fold makes "Café" findable by "cafe".
function fold(text) {
	return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
