// Forms that are sent through the API: nothing is sent twice, what is wrong is said at its field, nothing typed is lost.

import { Problem } from "./api.js";

export class Form {
	#form;
	#send;
	#fieldOf;
	#busy = false;
	#left = false;

	// send does the work and throws a Problem; fieldOf maps the API's field names to those of the form.
	// guarded forms ask before the page is left with something typed in them.
	constructor(form, send, { fieldOf = (name) => name, guarded = false } = {}) {
		this.#form = form;
		this.#send = send;
		this.#fieldOf = fieldOf;
		form.addEventListener("submit", (event) => {
			event.preventDefault();
			this.#submit();
		});
		form.addEventListener("input", (event) => this.clear(event.target.name));
		if (guarded) {
			addEventListener("beforeunload", (event) => this.changed && !this.#left && event.preventDefault());
		}
	}

	// values returns what is typed, by name.
	get values() {
		return Object.fromEntries(new FormData(this.#form));
	}

	get changed() {
		return [...this.#form.elements].some((field) => field.matches("input, textarea")
			? field.value !== field.defaultValue
			: field.matches("select") && !(field.selectedOptions[0]?.defaultSelected ?? true) && field.selectedIndex > 0);
	}

	// leave goes to another page, without a question.
	leave(address) {
		this.#left = true;
		location.assign(address);
	}

	// handOver sends the form as a browser does without scripts, for a page of the server's to go on.
	handOver() {
		this.#left = true;
		this.#form.submit();
	}

	// keep takes what is typed as saved.
	keep() {
		for (const field of this.#form.querySelectorAll("input, textarea")) {
			field.defaultValue = field.value;
		}
	}

	// clear removes what is said at a field and about the form as a whole.
	clear(name) {
		this.#say("");
		const error = document.getElementById(`${name}-error`);
		if (error) {
			error.hidden = true;
			error.textContent = "";
			this.#form.elements[name].removeAttribute("aria-invalid");
		}
	}

	// show says what is wrong, at the fields named in the problem; only, if given, limits it to some of them.
	show(problem, only) {
		const rest = [];
		let first;
		for (const { location, message } of problem.errors) {
			const name = this.#fieldOf((location ?? "").replace(/^(body|header|query)\.?/u, ""));
			const error = document.getElementById(`${name}-error`);
			if (!error) {
				rest.push(message);
			} else if (!only || only.has(name)) {
				error.textContent = message;
				error.hidden = false;
				const field = this.#form.elements[name];
				field.setAttribute("aria-invalid", "true");
				field.closest("details")?.setAttribute("open", "");
				if (!first || first.compareDocumentPosition(field) & Node.DOCUMENT_POSITION_PRECEDING) {
					first = field;
				}
			}
		}
		if (only) {
			return;
		}
		if (!first || rest.length > 0) {
			this.#say(rest.join(" ") || sentence(problem));
		}
		first?.focus();
	}

	async #submit() {
		if (this.#busy) {
			return;
		}
		const button = this.#form.querySelector("[type=submit]");
		this.#busy = true;
		button.ariaDisabled = "true"; // not disabled: that would take the focus away
		this.#form.ariaBusy = "true";
		for (const { name } of this.#form.elements) {
			this.clear(name);
		}
		try {
			await this.#send(this.values);
		} catch (problem) {
			if (!(problem instanceof Problem)) {
				throw problem;
			}
			this.show(problem);
		} finally {
			this.#busy = this.#left; // until the next page is there
			button.ariaDisabled = String(this.#busy);
			this.#form.ariaBusy = String(this.#busy);
		}
	}

	#say(text) {
		const place = this.#form.querySelector(".form-error");
		place.textContent = text;
		place.hidden = text === "";
	}
}

// showFieldsFor shows the fields that mean something for a kind of code.
export function showFieldsFor(form, kind) {
	for (const field of form.querySelectorAll("[data-for]")) {
		field.hidden = !field.dataset.for.split(" ").includes(kind);
	}
}

// sentence says what went wrong as a whole, and what to do.
export function sentence(problem) {
	switch (problem.status) {
	case 0:
		return `${problem.message} What you typed is still here; try again in a moment.`;
	case 401:
		return "Your session was locked or has ended. Enter your password, then repeat this; what you typed is still here.";
	case 429:
		return `${problem.message} ${problem.retryAfter ? `Try again in ${problem.retryAfter} s.` : ""}`.trim();
	default:
		return problem.message;
	}
}
