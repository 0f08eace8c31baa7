// <count-ring data-name="Example"> is an account's letter in a ring that runs out with its code.

const svg = "http://www.w3.org/2000/svg";
const lastSeconds = 5; // counted in figures, in the colour of warnings

class CountRing extends HTMLElement {
	#left;
	#face;
	#letter;

	static observedAttributes = ["data-name"];

	connectedCallback() {
		if (this.#face) {
			return;
		}
		this.setAttribute("aria-hidden", "true"); // the letter repeats the name, and the time is told by the code that changes
		this.#face = document.createElement("span");
		const drawing = document.createElementNS(svg, "svg");
		drawing.setAttribute("viewBox", "0 0 48 48");
		const [track, left] = ["ring-track", "ring-left"].map((name) => {
			const circle = document.createElementNS(svg, "circle");
			circle.setAttribute("class", name);
			circle.setAttribute("cx", 24);
			circle.setAttribute("cy", 24);
			circle.setAttribute("r", 22);
			circle.setAttribute("pathLength", 100);
			return circle;
		});
		this.#left = left;
		drawing.append(track, left);
		this.replaceChildren(drawing, this.#face);
		this.#name();
	}

	attributeChangedCallback() {
		if (this.#face) {
			this.#name();
		}
	}

	// show draws how much is left of a code's time; nothing when it has none.
	show(left, whole) {
		const seconds = Math.ceil(left / 1_000);
		const ending = left > 0 && seconds <= lastSeconds && whole > lastSeconds * 1_000;
		this.#left.setAttribute("stroke-dashoffset", whole > 0 ? -100 * (1 - Math.max(left, 0) / whole) : -100);
		this.classList.toggle("ending", ending);
		this.#face.textContent = ending ? seconds : this.#letter;
	}

	#name() {
		const name = this.dataset.name ?? "";
		this.#letter = [...name][0] ?? "?";
		this.#face.textContent = this.#letter;
		this.style.setProperty("--hue", hue(name));
	}
}

// hue gives each issuer a colour of its own that stays the same.
function hue(name) {
	let hash = 2166136261; // FNV-1a
	for (const character of name.toLowerCase()) {
		hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
	}
	return (hash >>> 0) % 360;
}

customElements.define("count-ring", CountRing);
