// Banners at the top of the page: things that are wrong for longer than a moment.

// Banner is one of them; it is there from show to hide.
export class Banner {
	#element;
	#shown = "";

	// show puts the banner up with a text and, if given, a button. The same text again changes nothing,
	// so that a screen reader says it once.
	show(text, { label, act } = {}) {
		if (this.#shown === text) {
			return;
		}
		this.hide();
		this.#shown = text;
		this.#element = document.createElement("div");
		this.#element.className = "banner";
		this.#element.setAttribute("role", "alert");
		const sentence = document.createElement("p");
		sentence.textContent = text;
		this.#element.append(sentence);
		if (label) {
			const button = document.createElement("button");
			button.className = "button";
			button.type = "button";
			button.textContent = label;
			button.addEventListener("click", act);
			this.#element.append(button);
		}
		document.getElementById("banners").append(this.#element);
	}

	hide() {
		this.#element?.remove();
		this.#element = undefined;
		this.#shown = "";
	}
}
